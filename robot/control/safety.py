"""Filter proposed actions before they reach the servos, on the robot's side of every network.

`SafetyFilter.check` turns any seven numbers into a target that is finite, inside the box, within the joint
limits, free of collisions and slow enough, and says which action that really was, so that learners train on what
happened. The limits are fixed when the filter is built: nothing that arrives later can loosen them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from robot.arms.model import ArmModel
from robot.control.collision import Collision
from robot.control.faults import FaultLatch
from robot.control.pose import Pose, multiply, rows_from_rpy, rpy_from_rows, transpose
from robot.control.safety_inputs import action_numbers, impossible_state
from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmKinematics, ArmState
from trajectories.errors import ConfigError, KinematicsError, SafetyError
from trajectories.types import ACTION_SIZE, Float32, Float64

AXES = ("x", "y", "z", "roll", "pitch", "yaw")
_TRIES = 6  # shorter and shorter steps before the motion is refused
_TOLERANCE = 1e-9
_STEP_TOLERANCE = 1e-6  # of a rotation's length: below what float32 actions can tell apart
_OUTSIDE = 1e-6  # rad of an attainable rotation beyond the box that are none
_UPRIGHT = 0.75  # of the tilt that is kept in the next try of an arm that can't take it
_SHORTEST_S = 1e-3  # a motion has to take longer


@dataclass(frozen=True)
class Target:
    """What the arm is told to do, and what the next action is composed on.

    Attributes:
        pose: Of the tip, base frame.
        joints: float64 (N,) rad that reach it.
        gripper_open: Whether the gripper is told to be open.
    """

    pose: Pose
    joints: Float64
    gripper_open: bool


@dataclass(frozen=True)
class Checked:
    """An action after the filter.

    Attributes:
        executed: float32 (7,) in [-1, 1], the action that was really composed; the gripper entry is -1 or 1. An arm of
            fewer than six joints takes the rotation that is nearest to the one asked for.
        target: The new target.
        gripper_width: m.
        clipped: Names of the limits that changed the action, empty if none.
    """

    executed: Float32
    target: Target
    gripper_width: float
    clipped: tuple[str, ...]


class SafetyFilter:
    """Checks every action; latches faults until a person clears them.

    Attributes:
        limits: Fixed at construction.
        nonfinite_actions: How many actions weren't seven finite numbers (each became a hold).
        faults: What stands.
    """

    def __init__(
        self,
        model: ArmModel,
        limits: SafetyLimits,
        action_scale: Sequence[float],
        kinematics: ArmKinematics | None = None,
        faults: FaultLatch | None = None,
    ) -> None:
        """Build the filter.

        Args:
            model: The arm.
            limits: What it may do.
            action_scale: (7,) what an action of 1 means, see `RobotSpec.action_scale`.
            kinematics: Other inverse kinematics than the model's; its own joint limits apply too.
            faults: Where faults are latched; None takes an empty latch.

        Raises:
            ConfigError: When the limits aren't this arm's, the scale is not seven finite numbers above 0, or the
                collision margin is out of range.
        """
        if len(action_scale) != ACTION_SIZE or not all(math.isfinite(s) and s > 0 for s in action_scale):
            raise ConfigError(f"action_scale needs {ACTION_SIZE} finite numbers above 0, got {action_scale!r}.")
        model.require_fits(limits)
        self.limits = limits
        self.nonfinite_actions = 0
        self.faults = FaultLatch() if faults is None else faults
        self._joints = model.joints
        self._kinematics = model.kinematics(limits) if kinematics is None else kinematics
        self._collision = Collision(limits.collision_margin, model.mjcf, model.joints)
        self._scale = tuple(float(s) for s in action_scale[:6])
        # A step may be no longer than an action of 1, so that `executed` stays in [-1, 1].
        steps = (limits.max_step_position,) * 3 + (limits.max_step_rotation,) * 3
        self._step = tuple(min(s, m) for s, m in zip(self._scale, steps, strict=True))
        self._speed = (limits.max_speed_position,) * 3 + (limits.max_speed_rotation,) * 3
        self._effort_steps = 0

    def check(self, action: Float32, target: Target, state: ArmState, duration_s: float) -> Checked:
        """Compose `action` on `target` within the limits.

        Args:
            action: (7,) proposed; anything else than seven finite numbers becomes a hold.
            target: What the arm was told last.
            state: Newest measured joint state.
            duration_s: Time that the motion will take; without any, it becomes a hold.

        Raises:
            SafetyError: When a fault is latched or `state` latches one.
        """
        self._require_healthy(state)
        values = action_numbers(action)
        if values is None:
            self.nonfinite_actions += 1
            return self._hold(target, target.gripper_open, ("non-finite",))
        gripper_open = values[6] > 0.0
        if not duration_s > _SHORTEST_S:
            return self._hold(target, gripper_open, ("speed",))
        clipped: list[str] = []
        if max(map(abs, values)) > 1.0:
            clipped.append("action")
            values = [min(1.0, max(-1.0, v)) for v in values]

        wanted = [v * s for v, s in zip(values, self._scale, strict=False)]
        if self._effort_steps >= self.limits.effort_yield_steps:
            clipped.append("effort")
            here = self._kinematics.forward(state.joints)
            goal = self._inside(here.position.tolist(), here.rpy.tolist(), clipped)
        else:
            goal = self._goal(target.pose, wanted, clipped)
        checked = self._approach(target, goal, gripper_open, duration_s, clipped)
        lag = float(np.abs(target.joints - state.joints).max())
        if lag > self.limits.max_joint_lag:
            new_lag = float(np.abs(checked.target.joints - state.joints).max())
            if new_lag > lag:
                return self._hold(target, gripper_open, (*checked.clipped, "lag"))
        return checked

    @property
    def fault(self) -> str | None:
        """Why nothing moves any more, or None."""
        return self.faults.reason

    def trip(self, reason: str) -> None:
        """Latch a fault: nothing moves until a person clears it."""
        self.faults.trip(reason)

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """A person who looked at the arm takes responsibility for going on after exactly these faults.

        Raises:
            SafetyError: When no name is given.
        """
        if self.faults.clear(person, ids):
            self._effort_steps = 0

    def require_no_fault(self) -> None:
        """Refuse to move while anything stands.

        Raises:
            SafetyError: With it and what to do.
        """
        if self.faults.standing:
            fault = str(self.fault)
            raise SafetyError(
                f"The arm holds its pose because something stands: {fault.rstrip('.')}. A person has to look at "
                "the arm and clear it by name."
            )

    def require_possible(self, state: ArmState) -> None:
        """Latch a fault when no arm can be in such a state.

        Raises:
            SafetyError: With the fault, in that case only.
        """
        impossible = impossible_state(state, self.limits, self._joints)
        if impossible is not None:
            self.trip(impossible)
            self.require_no_fault()

    def target_at(self, state: ArmState, gripper_open: bool | None = None) -> Target:
        """Where the arm is, as a target; its joints are the measured ones, so that nothing jumps.

        Args:
            state: Measured; a joint a little outside of its limits is moved to them.
            gripper_open: What the gripper was told; None takes it from its width.

        Raises:
            SafetyError: When the state is impossible; that latches a fault.
        """
        self.require_possible(state)
        if gripper_open is None:
            middle = 0.5 * (self.limits.gripper_open_width + self.limits.gripper_closed_width)
            gripper_open = state.gripper_width > middle
        joints = state.joints.clip(self.limits.joint_lower, self.limits.joint_upper)
        return Target(self._kinematics.forward(joints), joints, gripper_open)

    def _require_healthy(self, state: ArmState) -> None:
        self.require_no_fault()
        self.require_possible(state)
        self._watch(state.efforts.tolist())
        self.require_no_fault()

    def strained(self, state: ArmState) -> bool:
        """Whether a joint pushes with more than its `max_efforts`."""
        return bool(self._over(state.efforts.tolist()))

    def _over(self, efforts: list[float]) -> list[int]:
        return [i for i, (e, m) in enumerate(zip(efforts, self.limits.max_efforts, strict=True)) if abs(e) > m]

    def _watch(self, efforts: list[float]) -> None:
        """Latch a fault when an effort stays too high."""
        over = self._over(efforts)
        self._effort_steps = self._effort_steps + 1 if over else 0
        if self._effort_steps >= self.limits.effort_fault_steps:
            joint = over[0]
            self.trip(
                f"{self._joints[joint]} pushed with {efforts[joint]:.2f} N m, more than the allowed "
                f"{self.limits.max_efforts[joint]:.2f}, for {self._effort_steps} control steps"
            )

    def _hold(self, target: Target, gripper_open: bool, clipped: tuple[str, ...]) -> Checked:
        executed = np.zeros(ACTION_SIZE, dtype=np.float32)
        executed[6] = 1.0 if gripper_open else -1.0
        return Checked(executed, replace(target, gripper_open=gripper_open), self._width(gripper_open), clipped)

    def _width(self, gripper_open: bool) -> float:
        return self.limits.gripper_open_width if gripper_open else self.limits.gripper_closed_width

    def _goal(self, pose: Pose, delta: Sequence[float], clipped: list[str]) -> tuple[list[float], list[float]]:
        """Position and rpy after `delta` (m and rad, world axes about the tip), moved into the box."""
        position = [p + d for p, d in zip(pose.position.tolist(), delta[:3], strict=True)]
        rpy = pose.rpy.tolist()
        if any(delta[3:]):
            rpy = list(rpy_from_rows(multiply(rows_from_rpy(delta[3:]), rows_from_rpy(rpy))))
        return self._inside(position, rpy, clipped)

    def _inside(self, position: list[float], rpy: list[float], clipped: list[str]) -> tuple[list[float], list[float]]:
        """The nearest position and rpy in the box."""
        lower = (*self.limits.position_lower, *self.limits.rpy_lower)
        upper = (*self.limits.position_upper, *self.limits.rpy_upper)
        for i, axis in enumerate(AXES):
            values, k = (position, i) if i < 3 else (rpy, i - 3)
            inside = min(upper[i], max(lower[i], values[k]))
            if abs(inside - values[k]) > _TOLERANCE:
                clipped.append(axis)
            values[k] = inside
        return position, rpy

    def _approach(
        self,
        target: Target,
        goal: tuple[list[float], list[float]],
        gripper_open: bool,
        duration_s: float,
        clipped: list[str],
    ) -> Checked:
        """As far towards `goal` as step, speed, joints and collisions allow; a hold when no part is possible.

        Between two rotations inside the box the way is straight in roll, pitch and yaw, so it stays inside.
        """
        start, start_rpy = target.pose.position.tolist(), target.pose.rpy.tolist()
        shift = [g - p for g, p in zip(goal[0], start, strict=True)]
        turn = [g - p for g, p in zip(goal[1], start_rpy, strict=True)]
        back = transpose(rows_from_rpy(start_rpy))
        allowed = self.limits.max_joint_speed * duration_s
        step = tuple(min(m, v * duration_s) for m, v in zip(self._step, self._speed, strict=True))
        too_far = "step" if step == self._step else "speed"
        reasons: list[str] = []
        far = max(abs(d) / m for d, m in zip(shift, step[:3], strict=True))
        if far > 1.0 + _TOLERANCE:
            reasons.append(too_far)
            shift = [min(m, max(-m, d)) for d, m in zip(shift, step[:3], strict=True)]
        for _ in range(_TRIES):
            rpy = [p + d for p, d in zip(start_rpy, turn, strict=True)]
            turned = rpy_from_rows(multiply(rows_from_rpy(rpy), back)) if any(turn) else (0.0, 0.0, 0.0)
            far = max(abs(d) / m for d, m in zip(turned, step[3:], strict=True))
            if far > 1.0 + _STEP_TOLERANCE:
                turn, reason = [d / far for d in turn], too_far
            else:
                wanted = Pose(np.array([p + d for p, d in zip(start, shift, strict=True)]), np.array(rpy))
                pose = self._kinematics.attainable(wanted)
                part, reason, joints = 1.0, "rotation", None
                if pose is not wanted:
                    reasons.append("rotation")
                    turned = rpy_from_rows(multiply(rows_from_rpy(pose.rpy.tolist()), back))
                if pose is wanted or not self._turns_too_far(wanted, pose, turned, step[3:]):
                    part, reason, joints = self._try(pose, target, allowed)
                else:  # less tilt can be taken anywhere: the way is kept, and the tilt given up bit by bit
                    turn = [_UPRIGHT * (p + d) - p for p, d in zip(start_rpy[:2], turn[:2], strict=True)] + turn[2:]
                if joints is not None:
                    executed = [d / s for d, s in zip((*shift, *turned), self._scale, strict=True)]
                    return Checked(
                        np.array([*executed, 1.0 if gripper_open else -1.0], dtype=np.float32).clip(-1.0, 1.0),
                        Target(pose, joints, gripper_open),
                        self._width(gripper_open),
                        tuple(dict.fromkeys((*clipped, *reasons))),
                    )
                shift, turn = [part * d for d in shift], [part * d for d in turn]
            reasons.append(reason)
        return self._hold(target, gripper_open, tuple(dict.fromkeys((*clipped, *reasons))))

    def _turns_too_far(self, wanted: Pose, pose: Pose, turned: Sequence[float], most: Sequence[float]) -> bool:
        """Whether the rotation that the arm takes instead of the wanted one leaves the box, or is a longer step.

        Args:
            wanted: Asked for.
            pose: What the arm can take.
            turned: Roll, pitch and yaw from the last target to `pose`, rad.
            most: (3,) rad that a step may have.
        """
        low, high = self.limits.rpy_lower, self.limits.rpy_upper
        leaves = any(
            _beyond(a, p, b) > _beyond(a, w, b) + _OUTSIDE
            for a, w, p, b in zip(low, wanted.rpy.tolist(), pose.rpy.tolist(), high, strict=True)
        )
        return leaves or max(abs(d) / m for d, m in zip(turned, most, strict=True)) > 1.0 + _STEP_TOLERANCE

    def _try(self, pose: Pose, target: Target, allowed: float) -> tuple[float, str, Float64 | None]:
        """Joints that reach `pose` freely within `allowed` rad of travel, or how much to shorten it, and why."""
        try:
            joints = self._kinematics.inverse(pose, target.joints)
        except KinematicsError:
            return 0.5, "reach", None
        travel = float(np.abs(joints - target.joints).max())
        if travel > allowed:
            return min(0.9, 0.98 * allowed / travel), "speed", None
        if self._collision.obstacle(target.joints, joints) is not None:
            return 0.5, "collision", None
        return 1.0, "", joints


def _beyond(low: float, value: float, high: float) -> float:
    """How far a value lies outside of its range, 0 inside."""
    return max(low - value, value - high, 0.0)
