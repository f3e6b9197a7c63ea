"""`Motors`, the interface to what virtual servos turn, and its simplest implementation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from trajectories.numbers import NS_PER_S


class Drive(NamedTuple):
    """What one servo's motor does.

    Attributes:
        joint: Index of the joint it sits on.
        powered: Whether torque is on.
        target: rad, in the direction of the joint.
        strength: Largest output that its settings allow, as a fraction of stall.
    """

    joint: int
    powered: bool
    target: float
    strength: float = 1.0


class Motion(NamedTuple):
    """What one servo's shaft does, in the direction of the joint.

    Attributes:
        position: rad.
        velocity: rad/s.
        load: Fraction of the stall torque that the motor gives, -1 ... 1.
    """

    position: float
    velocity: float
    load: float


class Motors(Protocol):
    """Joints with one or more servos each."""

    def advance(self, now_ns: int, drives: Mapping[int, Drive]) -> dict[int, Motion]:
        """Let time pass until `now_ns` with every servo driven as given; returns every servo's motion."""
        ...


class FirstOrderMotors:
    """Joints that approach the mean of their powered servos' targets, as fast as they can. No MuJoCo.

    Args:
        positions: rad, one a joint.
        now_ns: Monotonic ns at the start.

    Attributes:
        positions: rad; may be changed by hand.
        time_constant_s: Of the approach.
        largest_speed: rad/s.
        stiffness: Load per rad between a servo's target and its joint.
        outside: Load per servo that a joint carries on top (gravity, a person).
        blocked: Joints that don't move.
    """

    def __init__(self, positions: Sequence[float] = (0.0,) * 7, now_ns: int = 0) -> None:
        self.positions = list(positions)
        self.time_constant_s = 0.03
        self.largest_speed = 4.8
        self.stiffness = 8.0
        self.outside: dict[int, float] = {}
        self.blocked: set[int] = set()
        self._now_ns = now_ns

    def advance(self, now_ns: int, drives: Mapping[int, Drive]) -> dict[int, Motion]:
        """Let time pass; see `Motors`."""
        seconds = max(now_ns - self._now_ns, 0) / NS_PER_S
        self._now_ns = max(now_ns, self._now_ns)
        speeds = [0.0] * len(self.positions)
        for joint in range(len(self.positions)):
            targets = [drive.target for drive in drives.values() if drive.joint == joint and drive.powered]
            if targets and joint not in self.blocked and seconds > 0:
                away = sum(targets) / len(targets) - self.positions[joint]
                step = away * -math.expm1(-seconds / self.time_constant_s)
                limit = self.largest_speed * seconds
                step = min(max(step, -limit), limit)
                self.positions[joint] += step
                speeds[joint] = step / seconds
        return {servo: self._motion(drive, speeds[drive.joint]) for servo, drive in drives.items()}

    def _motion(self, drive: Drive, speed: float) -> Motion:
        position = self.positions[drive.joint]
        load = 0.0
        if drive.powered:
            load = self.stiffness * (drive.target - position) + self.outside.get(drive.joint, 0.0)
        return Motion(position, speed, min(max(load, -drive.strength), drive.strength))
