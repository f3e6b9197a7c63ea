"""Settings of the arm driver. Numbers marked *unconfirmed* wait for the first real arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drivers.widowx.setpoints import MotionLimits
from trajectories.errors import ConfigError
from trajectories.numbers import positive


@dataclass(frozen=True)
class GuardLimits:
    """When the arm rests before a servo trips, and what counts as a fault. All *unconfirmed*.

    Attributes:
        load_levels: (fraction of stall, s): a servo above the fraction for so long sends the arm to rest. Servos trip
            by themselves at a level and after a time that ROBOTIS doesn't publish; seconds, as users report. Sessions
            yield after two or three control steps of overload (`SafetyLimits.effort_yield_steps`); this comes after.
        temperature_margin_c: The arm rests this far below a servo's own temperature limit.
        temperature_s: For so long.
        lowest_v: Supply below which the arm rests (the XM430 trips at 9.5 V).
        highest_v: Supply above which the arm rests.
        voltage_s: For so long.
        missing_s: A servo that doesn't answer for so long is a fault; until then the others go on.
        pair_rad: Largest disagreement between the two servos of a joint.
        pair_s: For so long.
    """

    load_levels: tuple[tuple[float, float], ...] = ((0.7, 1.5), (0.9, 1.0))
    temperature_margin_c: float = 8.0
    temperature_s: float = 2.0
    lowest_v: float = 10.5
    highest_v: float = 14.0
    voltage_s: float = 0.5
    missing_s: float = 0.15
    pair_rad: float = 0.1
    pair_s: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigError: Naming it.
        """
        if not self.load_levels or not all(0 < level <= 1 and s > 0 for level, s in self.load_levels):
            raise ConfigError(f"load_levels needs (fraction in (0, 1], seconds above 0), got {self.load_levels}.")
        for name in ("temperature_s", "voltage_s", "missing_s", "pair_rad", "pair_s"):
            positive(name, getattr(self, name))
        if not self.lowest_v < self.highest_v:
            raise ConfigError(f"lowest_v must be below highest_v, got {self.lowest_v} and {self.highest_v}.")


@dataclass(frozen=True)
class GripperSettings:
    """Force and speed of the gripper.

    Attributes:
        pwm: Largest output while it moves, of 885. Interbotix uses 150 ... 350; above, the servo soon trips.
        hold_pwm: Largest output while it holds something (*unconfirmed* for hours).
        motion: Limits of the crank.
        contact_load: Fraction of `pwm` above which standing still while closing means that it holds something.
        contact_s: For so long.
        still: rad/s below which the crank stands still.
        squeeze: rad that the goal lies beyond the point of contact while holding; more than the servo's
            proportional gain needs for `hold_pwm`.
    """

    pwm: int = 350
    hold_pwm: int = 250
    motion: MotionLimits = field(default_factory=lambda: MotionLimits(3.0, 30.0))
    contact_load: float = 0.6
    contact_s: float = 0.1
    still: float = 0.15
    squeeze: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigError: Naming it.
        """
        if not 0 < self.hold_pwm <= self.pwm <= 885:
            raise ConfigError(f"Need 0 < hold_pwm <= pwm <= 885, got {self.hold_pwm} and {self.pwm}.")
        if not 0 < self.contact_load < 1:
            raise ConfigError(f"contact_load must lie in (0, 1), got {self.contact_load}.")
        for name in ("contact_s", "still", "squeeze"):
            positive(name, getattr(self, name))


@dataclass(frozen=True)
class ArmSettings:
    """The driver's settings.

    Attributes:
        rate_hz: Control cycles per second, 20 ... 200.
        motion: Limits of every joint's setpoint.
        sleep_motion: Limits on the way to the sleep pose.
        position_gains: P, I, D of the servos; factory 800, 0, 0.
        profile_velocity: Register 112: largest speed inside a servo, 0.229 rpm a unit; must exceed `motion`.
        watchdog_units: Register 98, 20 ms each: servos stop by themselves when the computer falls silent.
        command_timeout_s: Without a newer command for so long the arm brakes and holds.
        command_age_s: A command that was computed longer ago is dropped by the arm's process: a control step at 5 Hz.
        max_age_s: `read` refuses a state that is older.
        health_every: Cycles between reads of torque, watchdog, voltage, temperature.
        reopen_s: Between attempts to open a lost port.
        latency_s: Longest time that computer and USB adapter add to a servo's reply; 0.02 where the adapter's latency
            timer can't be set from its 16 ms to 1 ms.
        hold_lag: rad: `hold` stays at the setpoint when the arm is that near to it, and otherwise takes the measured
            position, so that repeated holds don't sink under the arm's weight.
        on_close: "sleep": fold up, then torque off; "hold": stay where it is with torque on.
        joint_offsets: rad, the homing offsets that the joints were calibrated to; empty: none were.
        guard: When to rest.
        gripper: Force and speed.
    """

    rate_hz: float = 100.0
    motion: MotionLimits = field(default_factory=lambda: MotionLimits(2.5, 20.0))
    sleep_motion: MotionLimits = field(default_factory=lambda: MotionLimits(0.6, 1.5))
    position_gains: tuple[int, int, int] = (800, 0, 0)
    profile_velocity: int = 131
    watchdog_units: int = 15
    command_timeout_s: float = 0.5
    command_age_s: float = 0.2
    max_age_s: float = 0.1
    health_every: int = 10
    reopen_s: float = 0.5
    latency_s: float = 0.008
    hold_lag: float = 0.1
    on_close: Literal["sleep", "hold"] = "sleep"
    joint_offsets: tuple[float, ...] = ()
    guard: GuardLimits = field(default_factory=GuardLimits)
    gripper: GripperSettings = field(default_factory=GripperSettings)

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigError: Naming it.
        """
        if not 20 <= self.rate_hz <= 200:
            raise ConfigError(f"rate_hz must be 20 ... 200, got {self.rate_hz!r}.")
        if not 3 <= self.watchdog_units <= 127:
            raise ConfigError(f"watchdog_units must be 3 ... 127 (20 ms each), got {self.watchdog_units!r}.")
        if not 1 <= self.profile_velocity <= 1000:
            raise ConfigError(
                f"profile_velocity must be 1 ... 1000, got {self.profile_velocity!r}; 0 would mean unlimited speed."
            )
        if self.health_every < 1 or self.on_close not in ("sleep", "hold"):
            raise ConfigError(
                f"Need health_every >= 1 and on_close sleep or hold; {self.health_every}, {self.on_close}."
            )
        for name in ("command_timeout_s", "command_age_s", "max_age_s", "reopen_s", "latency_s", "hold_lag"):
            positive(name, getattr(self, name))

    @property
    def period_s(self) -> float:
        """Length of a control cycle."""
        return 1.0 / self.rate_hz

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the arm's process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ArmSettings:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: When a value makes no sense.
        """
        values, guard, gripper = dict(raw), dict(raw["guard"]), dict(raw["gripper"])
        for name in ("motion", "sleep_motion"):
            values[name] = MotionLimits(**values[name])
        gripper["motion"] = MotionLimits(**gripper["motion"])
        guard["load_levels"] = tuple((level, seconds) for level, seconds in guard["load_levels"])
        values["position_gains"] = tuple(values["position_gains"])
        values["joint_offsets"] = tuple(values["joint_offsets"])
        values["guard"], values["gripper"] = GuardLimits(**guard), GripperSettings(**gripper)
        return cls(**values)
