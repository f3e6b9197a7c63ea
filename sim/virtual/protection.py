"""When a servo protects itself: overload, overheating, voltage out of range.

The servos' own rules are not published; these are simple ones whose numbers are settings. Sustained load trips after
seconds, which is what users of the arm report.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.dynamixel.messages import HardwareError
from sim.virtual.memory import ControlMemory

_NONE = HardwareError(0)


@dataclass
class Protection:
    """Load, heat and voltage of one servo over time.

    Attributes:
        overload_level: Load, as a fraction of stall, above which the overload timer runs.
        overload_s: Seconds above that level until the trip; below it the timer runs back.
        ambient_c: Temperature of the room.
        heating_c: Steady rise above the room at full load.
        cooling_s: Time constant of warming and cooling.
        brown_out_v: Supply below which the servo loses power.
        temperature_c: Present temperature.
        forced: Errors set by hand, e.g. ENCODER.
    """

    overload_level: float = 0.75
    overload_s: float = 2.0
    ambient_c: float = 25.0
    heating_c: float = 60.0
    cooling_s: float = 300.0
    brown_out_v: float = 6.0
    temperature_c: float = 30.0
    forced: HardwareError = _NONE
    _overloaded_s: float = 0.0

    def reset(self) -> None:
        """Forget the overload timer (restart)."""
        self._overloaded_s = 0.0

    def advance(self, seconds: float, load: float, supply_v: float, memory: ControlMemory) -> HardwareError:
        """Let time pass; returns the errors that the servo detects now and acts on (its shutdown register)."""
        steady = self.ambient_c + self.heating_c * load * load
        self.temperature_c += (steady - self.temperature_c) * min(seconds / self.cooling_s, 1.0)
        timer = self._overloaded_s + (seconds if abs(load) > self.overload_level else -seconds)
        self._overloaded_s = max(timer, 0.0)
        errors = self.forced
        if self._overloaded_s > self.overload_s:
            errors |= HardwareError.OVERLOAD
        if self.temperature_c > memory.get("temperature_limit"):
            errors |= HardwareError.OVERHEATING
        tenths = round(supply_v * 10)
        if not memory.get("min_voltage_limit") <= tenths <= memory.get("max_voltage_limit"):
            errors |= HardwareError.VOLTAGE
        return errors & HardwareError(memory.get("shutdown"))
