"""A second arm without torque as a leader: the arm follows the motion of its tip.

Not yet tried on hardware. Its servos must be set up like the follower's (drive modes, centre at 2048).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import ticks_to_rad
from drivers.dynamixel.servo_map import WX250S, ServoMap, servo_map
from drivers.errors import ServoTimeoutError, TeleopError, TeleopLostError
from drivers.teleop.controls import Report
from drivers.teleop.follow import Follow, FollowConfig
from drivers.teleop.reader import ReaderDevice
from trajectories.errors import ConfigError
from trajectories.types import RobotSpec

_GIVE_UP_S = 0.5


@dataclass(frozen=True)
class LeaderConfig:
    """Settings of a leader arm.

    Attributes:
        model: Which arm it is, one of `drivers.dynamixel.servo_map.SERVO_MAPS`.
        port: Serial port, or a part of its name in /dev/serial/by-id.
        baud: Bits per second.
        rate_hz: How often it is read.
        follow: How the follower follows.
        action_scale: (7,) of the robot's `RobotSpec`.
        reconnect_s: Pause between attempts to open it again.
    """

    model: str = "wx250s"
    port: str = ""
    baud: int = 1_000_000
    rate_hz: float = 50.0
    follow: FollowConfig = field(default_factory=FollowConfig)
    action_scale: tuple[float, ...] = field(default_factory=lambda: RobotSpec().action_scale)
    reconnect_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: Naming the setting.
        """
        servo_map(self.model)
        object.__setattr__(self, "action_scale", tuple(self.action_scale))
        if not 1.0 <= self.rate_hz <= 500.0:
            raise ConfigError(f"leader.rate_hz is {self.rate_hz!r}, expected 1 to 500.")
        if len(self.action_scale) != 7 or not all(scale > 0 for scale in self.action_scale):
            raise ConfigError(f"leader.action_scale is {self.action_scale!r}, expected 7 numbers above 0.")


class LeaderConnection:
    """A `Connection` on the servos of a leader arm. It only reads; torque is never touched.

    Args:
        bus: Closed with this.
        where: For people.
        period_s: Time between two readings.
        servos: Of the arm.

    Raises:
        TeleopError: When a servo has torque: then it is no leader, perhaps the follower itself.
        ServoTimeoutError: When a servo doesn't answer.
    """

    def __init__(self, bus: DynamixelBus, where: str, period_s: float, servos: ServoMap = WX250S) -> None:
        self.where = where
        self.trouble: str | None = None
        self._bus, self._period_s = bus, period_s
        self._servos = {place.servo: place.name for place in servos.places if not place.is_shadow}
        self._next = self._heard = time.monotonic()
        try:
            bus.identify(self._servos)
            held = [servo for servo, torque in bus.sync_read(tuple(self._servos), "torque_enable").items() if torque]
            if held:
                names = ", ".join(self._servos[servo] for servo in held)
                raise TeleopError(
                    f"The arm at {where} holds its joints ({names}): a leader has no torque. Is this the port of the "
                    "follower? If not, support the arm and switch its torque off."
                )
        except BaseException:
            bus.close()
            raise

    def read(self, timeout_s: float) -> Report | None:
        """Angles of joints and gripper, rad, or None when a reading was missed.

        Raises:
            TeleopLostError: When it doesn't answer any more.
            PortLostError: When its cable was pulled.
        """
        now = time.monotonic()
        time.sleep(min(timeout_s, max(0.0, self._next - now)))
        self._next = max(now, self._next) + self._period_s
        try:
            ticks = self._bus.sync_read(tuple(self._servos), "present_position")
        except ServoTimeoutError as error:
            if time.monotonic() - self._heard > _GIVE_UP_S:
                raise TeleopLostError(f"The leader arm at {self.where} doesn't answer: {error}") from error
            return None
        self._heard = time.monotonic()
        return [(self._servos[servo], ticks_to_rad(value)) for servo, value in ticks.items()]

    def close(self) -> None:
        """Release the port."""
        self._bus.close()


def leader(
    config: LeaderConfig,
    open_bus: Callable[[], DynamixelBus] | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> ReaderDevice:
    """A leader arm, not started.

    Args:
        config: Its settings.
        open_bus: Opens its servos instead of `config.port`.
        clock: Monotonic ns.

    Raises:
        ConfigError: When there is no port.
    """
    if open_bus is None and not config.port:
        raise ConfigError("leader.port is empty; give its serial port (ls /dev/serial/by-id shows them).")

    def connect() -> LeaderConnection:
        bus = open_bus() if open_bus is not None else DynamixelBus.on(config.port, config.baud)
        return LeaderConnection(bus, config.port or "its bus", 1.0 / config.rate_hz, servos)

    servos = servo_map(config.model)
    meaning = Follow(config.follow, config.action_scale, servos.model)
    return ReaderDevice("leader", meaning, connect, reconnect_s=config.reconnect_s, clock=clock)
