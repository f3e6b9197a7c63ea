"""Move setpoints towards the newest target, within limits of speed and acceleration, and write them after a last check.

Positions p_k lie one control period apart, v_k = (p_k - p_{k-1}) / dt. Every step takes the largest v_k with
|v_k| <= v_max and |v_k - v_{k-1}| <= a_max dt from which the joint can still stop at its target. With the distance d
in units of a_max dt^2, the joint that moves x a unit now and slows down by one unit a period covers
(n + 1) x - n (n + 1) / 2 with n = floor(x); setting that to d gives n = floor((sqrt(1 + 8 d) - 1) / 2) and
x = d / (n + 1) + n / 2. The last step lands on the target exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import rad_to_ticks, ticks_to_rad
from drivers.dynamixel.servo_map import ServoMap
from trajectories.errors import ConfigError, SafetyError


@dataclass(frozen=True)
class MotionLimits:
    """Of one joint.

    Attributes:
        speed: rad/s.
        acceleration: rad/s^2.
    """

    speed: float
    acceleration: float

    def __post_init__(self) -> None:
        """Refuse what isn't a limit.

        Raises:
            ConfigError: Naming it.
        """
        if not all(math.isfinite(x) and x > 0 for x in (self.speed, self.acceleration)):
            raise ConfigError(f"Speed and acceleration must be finite and above 0, got {self}.")

    def scaled(self, factor: float) -> MotionLimits:
        """The same shape of motion over a distance `factor` times as long in the same time."""
        return MotionLimits(self.speed * factor, self.acceleration * factor)


def next_velocity(distance: float, velocity: float, limits: MotionLimits, dt: float) -> float:
    """Velocity of the coming period, rad/s.

    Args:
        distance: From the setpoint to its target, signed, rad.
        velocity: Of the last period, rad/s.
        limits: Of the joint.
        dt: Control period, s.
    """
    change = limits.acceleration * dt
    unit = change * dt
    d = abs(distance) / unit
    n = math.floor((math.sqrt(1.0 + 8.0 * d) - 1.0) / 2.0)
    stopping = (d / (n + 1) + n / 2.0) * change
    wanted = math.copysign(min(stopping, limits.speed), distance)
    return min(max(wanted, velocity - change), velocity + change)


class Interpolator:
    """Setpoints of several joints that never jump.

    Two numbers hold whatever the targets do, as long as the limits stay: no joint is faster or changes its speed
    faster than allowed, and each can stop without leaving the range of the targets it was given. A target that comes
    nearer than the joint can stop is passed and returned to; any other is reached without overshoot.

    Args:
        positions: rad, where the joints are.
        limits: One a joint.
        dt: Control period, s.

    Attributes:
        positions: rad, present setpoints.
        velocities: rad/s of the last period.
        targets: rad.
    """

    def __init__(self, positions: Sequence[float], limits: Sequence[MotionLimits], dt: float) -> None:
        if len(positions) != len(limits) or not math.isfinite(dt) or dt <= 0:
            raise ConfigError(
                f"An interpolator needs limits for each of {len(positions)} joints and a period above 0; got "
                f"{len(limits)} limits and {dt!r} s."
            )
        self.limits = tuple(limits)
        self.dt = dt
        self.positions = [float(p) for p in positions]
        self.velocities = [0.0] * len(self.positions)
        self.targets = list(self.positions)

    @property
    def at_rest(self) -> bool:
        """Whether no joint moves."""
        return not any(self.velocities)

    @property
    def arrived(self) -> bool:
        """Whether every joint stands on its target."""
        return self.at_rest and self.positions == self.targets

    def restart(self, positions: Sequence[float]) -> None:
        """Take other setpoints, at rest: after the joints were somewhere else than told."""
        self.positions = [float(p) for p in positions]
        self.velocities = [0.0] * len(self.positions)
        self.targets = list(self.positions)

    def head_for(self, targets: Sequence[float]) -> None:
        """Set the targets, rad; the caller keeps them finite and within the joints' limits.

        Raises:
            ConfigError: For another number of joints.
        """
        if len(targets) != len(self.positions):
            raise ConfigError(f"Targets for {len(self.positions)} joints are needed, got {len(targets)}.")
        self.targets = [float(t) for t in targets]

    def brake(self) -> None:
        """Head for where each joint can stop soonest."""
        self.targets = [
            p + math.copysign(self._stopping_distance(abs(v), limit), v)
            for p, v, limit in zip(self.positions, self.velocities, self.limits, strict=True)
        ]

    def step(self, limits: Sequence[MotionLimits] | None = None) -> list[float]:
        """Move on by one period; returns the new setpoints, rad.

        Args:
            limits: Other limits for this step, e.g. for a slow motion that started at rest.
        """
        for i, limit in enumerate(self.limits if limits is None else limits):
            distance = self.targets[i] - self.positions[i]
            velocity = next_velocity(distance, self.velocities[i], limit, self.dt)
            step = velocity * self.dt
            if abs(step - distance) <= 1e-12:
                self.positions[i] = self.targets[i]
                self.velocities[i] = velocity if abs(velocity) > 1e-9 else 0.0
            else:
                self.positions[i] += step
                self.velocities[i] = velocity
        return list(self.positions)

    def _stopping_distance(self, speed: float, limits: MotionLimits) -> float:
        change = limits.acceleration * self.dt
        x = speed / change
        n = math.floor(x)
        return (n * x - n * (n + 1) / 2.0) * change * self.dt


def straight(start: Sequence[float], end: Sequence[float], fastest: MotionLimits) -> list[MotionLimits]:
    """Limits under which all joints go from rest to rest on a straight line in joint space, none faster than `fastest`.

    A joint with nothing to do gets a limit that is small but above 0.
    """
    ways = [abs(e - s) for s, e in zip(start, end, strict=True)]
    longest = max(ways)
    if longest == 0.0:
        return [fastest] * len(ways)
    return [fastest.scaled(max(way / longest, 1e-6)) for way in ways]


class GoalWriter:
    """Writes the goals of all joints and the gripper with one packet; shadows hear their leader's.

    Args:
        bus: Of the servos.
        model: The arm.
        gripper_squeeze: rad that the gripper's goal may lie beyond "closed".

    Attributes:
        limits: (smallest, largest) ticks of every joint, gripper last.
        written: rad, the last goals.
    """

    def __init__(self, bus: DynamixelBus, model: ServoMap, gripper_squeeze: float) -> None:
        self._bus = bus
        self._leaders = model.leaders
        closed, wide = model.linkage.angle(0.0), model.linkage.angle(model.linkage.largest_width)
        places = model.leaders[:-1]
        self.limits = (
            *((place.min_position, place.max_position) for place in places),
            (rad_to_ticks(closed - gripper_squeeze), rad_to_ticks(wide)),
        )
        self._range = [(ticks_to_rad(low), ticks_to_rad(high)) for low, high in self.limits]
        self.written: tuple[float, ...] = ()

    def inside(self, angles: Sequence[float]) -> list[float]:
        """`angles` (rad; joints, or joints and gripper) moved into the limits."""
        return [min(max(float(a), low), high) for a, (low, high) in zip(angles, self._range, strict=False)]

    def inside_gripper(self, angle: float) -> float:
        """The gripper's `angle`, rad, moved into its limits."""
        low, high = self._range[-1]
        return min(max(angle, low), high)

    def write(self, angles: Sequence[float]) -> None:
        """Send the goals, rad, gripper last.

        Raises:
            SafetyError: When one is not finite or beyond its limit; then nothing is sent.
            PortLostError: Without port.
        """
        goals: dict[int, int] = {}
        for place, angle, (low, high) in zip(self._leaders, angles, self.limits, strict=True):
            if not math.isfinite(angle) or not low <= rad_to_ticks(angle) <= high:
                raise SafetyError(
                    f"A goal of {angle!r} rad for {place.name} (servo {place.servo}) reached the bus; its limits are "
                    f"{ticks_to_rad(low):.4f} ... {ticks_to_rad(high):.4f}. Nothing was sent. This is a bug: report it."
                )
            goals[place.servo] = rad_to_ticks(angle)
        self._bus.sync_write("goal_position", goals)
        self.written = tuple(angles)


class SleepMotion:
    """One motion to a pose.

    Args:
        pose: rad, within the limits.
        fastest: Limits of the joint with the longest way.
    """

    def __init__(self, pose: Sequence[float], fastest: MotionLimits) -> None:
        self._pose = [float(p) for p in pose]
        self._fastest = fastest
        self._limits: list[MotionLimits] | None = None

    def step(self, motion: Interpolator) -> list[float]:
        """Move the setpoints on by one period; returns them."""
        if self._limits is None and motion.at_rest:
            self._limits = straight(motion.positions, self._pose, self._fastest)
            motion.head_for(self._pose)
        if self._limits is None:
            motion.brake()
        return motion.step(self._limits)

    def arrived(self, motion: Interpolator) -> bool:
        """Whether the setpoints stand in the pose."""
        return self._limits is not None and motion.arrived
