"""Decide from each cycle's reading: go on, rest before a servo trips, or stop for a fault. Pure.

Rest and faults latch until `reset`, which is for a person's word.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from drivers.dynamixel.cycle import ServoHealth, ServoState
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import ServoMap
from drivers.widowx.reading import Reading, output
from drivers.widowx.settings import GuardLimits
from trajectories.numbers import NS_PER_S

_CLEAR = "then clear('your name')"
_REBOOT = "which restarts the servos of this joint (they are free for a moment)"
ADVICE = {
    HardwareError.OVERLOAD: "The joint has no torque. Support the arm, take away what it pushes or lifts, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.OVERHEATING: "The joint has no torque. Support the arm, let the servo cool for some minutes, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.SHOCK: "The joint has no torque. Support the arm, check the power supply and the cables for a short "
    f"circuit, {_CLEAR}, {_REBOOT}.",
    HardwareError.VOLTAGE: f"Check the power supply (12 V) and its plugs, {_CLEAR}.",
    HardwareError.ENCODER: "The servo doesn't know its position any more: replace it.",
}


def servo_title(model: ServoMap, servo: int) -> str:
    """E.g. "Servo 3 (shoulder_shadow, joint shoulder)"."""
    place = model.place(servo)
    joint = model.joint_name(place.joint)
    return f"Servo {servo} ({place.name}{'' if place.name == joint else f', joint {joint}'})"


_LONGEST_STEP_S = 0.1
_CLEAR = "then clear('your name')"


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    REST = 1
    FAULT = 2


class Verdict(NamedTuple):
    """What to do, and why.

    Attributes:
        level: OK, REST (go to the sleep pose and stay) or FAULT (freeze).
        reason: For a person: servo, joint, what happened, what to do.
    """

    level: Level
    reason: str = ""


class Guard:
    """Watches the servos of one arm.

    Args:
        model: The arm.
        limits: When to rest.
        now_ns: Monotonic ns.
    """

    def __init__(self, model: ServoMap, limits: GuardLimits, now_ns: int) -> None:
        self._model, self._limits = model, limits
        self.reset(now_ns)

    def reset(self, now_ns: int) -> None:
        """Forget everything: after a person took responsibility and the servos were taken over anew."""
        self._faults: dict[int | str, str] = {}
        self._rest = ""
        self._missing: dict[int, float] = {}
        self._now_ns = now_ns
        self._seen = dict.fromkeys(self._model.servos, now_ns)
        self._health: dict[int, ServoHealth] = {}
        self._timers: dict[tuple[str, int, float], float] = {}

    @property
    def verdict(self) -> Verdict:
        """The present one."""
        if self._faults:
            return Verdict(Level.FAULT, " ".join(self._faults.values()))
        return Verdict(Level.REST, self._rest) if self._rest else Verdict(Level.OK)

    @property
    def healths(self) -> dict[int, ServoHealth]:
        """What was read last of what changes slowly, by servo."""
        return dict(self._health)

    def trip(self, key: str, reason: str) -> None:
        """Latch a fault that was noticed elsewhere; the newest reason for a key counts."""
        self._faults[key] = reason

    def rest(self, reason: str) -> None:
        """Send the arm to rest for what was noticed elsewhere; the first reason counts."""
        self._to_rest(reason)

    def update(self, reading: Reading, now_ns: int) -> Verdict:
        """Judge a reading.

        Args:
            reading: Of this cycle, complete or not.
            now_ns: Monotonic ns.
        """
        seconds = min(max((now_ns - self._now_ns) / NS_PER_S, 0.0), _LONGEST_STEP_S)
        self._now_ns = now_ns
        for servo in reading.restarted:
            self._seen[servo] = now_ns
            self._fault(
                servo,
                "restarted (its supply failed for a moment): it lost its settings and has no torque. Support the arm, "
                f"check its cable and the power supply, {_CLEAR}.",
            )
        for servo, state in reading.states.items():
            self._seen[servo] = now_ns
            if state.health is not None:
                self._health[servo] = state.health
            self._check_errors(state)
            self._check_load(state, seconds)
        for servo, health in self._health.items():
            self._check_health(servo, health, seconds)
        self._check_missing()
        self._check_pairs(reading, seconds)
        return self.verdict

    # -- faults -------------------------------------------------------------------------------------
    def _fault(self, servo: int, text: str) -> None:
        self._faults.setdefault(servo, f"{servo_title(self._model, servo)} {text}")

    def _check_errors(self, state: ServoState) -> None:
        if not state.error:
            return
        bits = [bit for bit in HardwareError if state.error & bit]
        names = " and ".join(bit.name.lower() for bit in bits if bit.name) or f"error {int(state.error)}"
        advice = " ".join(ADVICE[bit] for bit in bits[:1])
        self._fault(state.servo, f"reports {names}. {advice}")

    def _check_missing(self) -> None:
        """One fault for all that are silent: what cuts off several has one cause."""
        silent_s = {servo: (self._now_ns - seen) / NS_PER_S for servo, seen in self._seen.items()}
        longest_s = max(silent_s.values())
        if longest_s <= self._limits.missing_s:
            return
        cut_off = min(silent_s.values()) > 0.5 * self._limits.missing_s
        for servo, seconds in silent_s.items():
            if (cut_off or seconds > self._limits.missing_s) and servo not in self._faults:
                self._missing.setdefault(servo, seconds)
        if self._missing:
            self._faults["silence"] = self._describe_missing()

    def _describe_missing(self) -> str:
        servos, longest_s = sorted(self._missing), max(self._missing.values())
        if len(servos) == len(self._model.servos):
            return (
                f"No servo has answered in time for {longest_s:.2f} s. Support the arm, check its power supply and the "
                f"cable from the USB adapter to the first servo, {_CLEAR}."
            )
        titles = ", ".join(servo_title(self._model, servo) for servo in servos)
        verb, cable = ("hasn't", "its cable") if len(servos) == 1 else ("haven't", "the first one's cable")
        return (
            f"{titles} {verb} answered for {longest_s:.2f} s. Support the arm, check {cable} and the one before it, "
            f"{_CLEAR}."
        )

    def _check_pairs(self, reading: Reading, seconds: float) -> None:
        for place in self._model.places:
            if not place.is_shadow or not {place.servo, place.secondary_id} <= set(reading.states):
                continue
            away = reading.states[place.servo].position - reading.states[place.secondary_id].position
            wrong = abs(away) > self._limits.pair_rad
            if self._longer("pair", place.servo, 0.0, wrong, seconds, self._limits.pair_s):
                self._fault(
                    place.servo,
                    f"reads {away:+.2f} rad more than servo {place.secondary_id} of the same joint. Support the arm, "
                    "switch the power off and check that no horn slipped.",
                )

    def _check_health(self, servo: int, health: ServoHealth, seconds: float) -> None:
        if health.watchdog_tripped:
            self._fault(
                servo,
                "stopped by its bus watchdog: it heard nothing for too long (was the computer overloaded or asleep?). "
                f"It holds its place; {_CLEAR}.",
            )
        elif not health.torque:
            self._fault(servo, f"has no torque although nothing here switched it off. Support the arm, {_CLEAR}.")
        trips_at = self._model.place(servo).table["temperature_limit"].initial
        hot = health.temperature >= trips_at - self._limits.temperature_margin_c
        if self._longer("temperature", servo, 0.0, hot, seconds, self._limits.temperature_s):
            self._to_rest(
                f"{servo_title(self._model, servo)} is {health.temperature} C hot and would trip at {trips_at}. Let it "
                f"cool in the sleep pose, {_CLEAR}."
            )
        bad = not self._limits.lowest_v <= health.voltage <= self._limits.highest_v
        if self._longer("voltage", servo, 0.0, bad, seconds, self._limits.voltage_s):
            self._to_rest(
                f"{servo_title(self._model, servo)} has a supply of {health.voltage:.1f} V, expected "
                f"{self._limits.lowest_v} ... {self._limits.highest_v}. Check the power supply, {_CLEAR}."
            )

    # -- rest ---------------------------------------------------------------------------------------
    def _check_load(self, state: ServoState, seconds: float) -> None:
        place = self._model.place(state.servo)
        part = abs(output(place, state))
        for level, allowed_s in self._limits.load_levels:
            if self._longer("load", state.servo, level, part > level, seconds, allowed_s):
                text = f"carried {part:.0%} of its stall torque, more than {level:.0%} for {allowed_s} s"
                if self._rest:
                    self._fault(state.servo, f"{text}, in spite of resting. Free the arm, {_CLEAR}.")
                else:
                    self._to_rest(
                        f"{servo_title(self._model, state.servo)} {text}: the arm rests before it trips. Take away "
                        f"what it pushes or lifts, {_CLEAR}."
                    )
                return

    def _to_rest(self, reason: str) -> None:
        """Latch the first reason; what relieves the servos gets its full time."""
        if not self._rest:
            self._rest = reason
            self._timers = {key: 0.0 if key[0] == "load" else value for key, value in self._timers.items()}

    def _longer(self, kind: str, servo: int, level: float, on: bool, seconds: float, allowed_s: float) -> bool:
        """Whether something has been on for longer than allowed; the timer runs back while it is off."""
        key = kind, servo, level
        timer = max(self._timers.get(key, 0.0) + (seconds if on else -seconds), 0.0)
        self._timers[key] = timer
        return timer > allowed_s
