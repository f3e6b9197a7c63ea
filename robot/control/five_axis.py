"""Forward and inverse kinematics of arms without a forearm roll, in closed form.

Waist, shoulder, elbow, wrist angle and wrist rotation (Interbotix' wx200 and wx250): the tool's axis always lies in the
vertical plane through the waist's axis, so that one of three rotations follows from the position. `attainable` turns
any pose into the nearest that the arm can take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robot.control.kinematics import (
    ArmGeometry,
    Kinematics,
    beyond_limits,
    checked_joints,
    describe_pose,
    no_branch,
    wrap_angle,
)
from robot.control.pose import Pose, Rows, multiply, rows_from_rotation_vector, rpy_of_tool_rows, tool_rows
from trajectories.errors import KinematicsError
from trajectories.types import Float64

JOINT_NAMES = ("waist", "shoulder", "elbow", "wrist_angle", "wrist_rotate")
_OUT_OF_PLANE = 1e-6
"""Largest component of the tool's axis across the arm's plane that counts as none."""


@dataclass(frozen=True)
class FiveAxisKinematics:
    """Closed-form kinematics of one arm.

    Attributes:
        lower: (5,) smallest joint angles, rad.
        upper: (5,) largest joint angles, rad.
        geometry: Link offsets.
        joints: Names, base to wrist.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    geometry: ArmGeometry
    joints: tuple[str, ...] = JOINT_NAMES
    _six: Kinematics = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Set up the six-axis arm whose forearm roll stands at 0."""
        object.__setattr__(self, "_six", Kinematics(self.geometry))

    def forward(self, joints: Sequence[float] | Float64) -> Pose:
        """Pose of the tip for joint angles (5,), rad.

        Raises:
            KinematicsError: When `joints` are not five finite numbers.
        """
        q = checked_joints(joints, self.joints)
        return self._six.forward([*q[:3], 0.0, *q[3:]])

    def attainable(self, pose: Pose) -> Pose:
        """The pose with the same position whose tool axis is turned, by the smallest angle, into the arm's plane.

        The plane is the vertical one through the waist's axis and the tip. A pose in it is given back as it is.
        """
        x, y, _ = pose.position.tolist()
        radius = math.hypot(x, y)
        if radius < _OUT_OF_PLANE:
            return pose
        rows = tool_rows(pose.rpy.tolist())
        axis = np.array([row[0] for row in rows])
        across = np.array([-y / radius, x / radius, 0.0])
        out = float(axis @ across)
        if abs(out) < _OUT_OF_PLANE:
            return pose
        inside = axis - out * across
        length = float(np.linalg.norm(inside))
        if length < _OUT_OF_PLANE:  # it points straight across: down is as near as anything else
            inside, length = np.array([0.0, 0.0, -1.0]), 1.0
        normal = np.cross(axis, inside / length)
        sine, cosine = float(np.linalg.norm(normal)), float(axis @ inside) / length
        vector = normal * (math.atan2(sine, cosine) / sine)
        turned: Rows = multiply(rows_from_rotation_vector(vector.tolist()), rows)
        return Pose(pose.position, np.array(rpy_of_tool_rows(turned)))

    def inverse(self, pose: Pose, near_joints: Sequence[float] | Float64) -> Float64:
        """Joint angles float64 (5,), rad, within the limits that reach `pose`, nearest to `near_joints`.

        Raises:
            KinematicsError: When the pose isn't `attainable`, it is out of reach, a joint limit forbids every branch,
                or an argument is not finite.
        """
        near = checked_joints(near_joints, self.joints)
        rows = tool_rows(pose.rpy.tolist())
        best: tuple[float, ...] | None = None
        best_cost = math.inf
        refused: list[tuple[float, str]] = []
        tilted = math.inf
        for arm in self._six.arm_branches(pose, near[0]):
            angle, rotate, out = _wrist(arm[0], arm[1] + arm[2], rows)
            tilted = min(tilted, abs(out))
            if abs(out) > 2.0 * _OUT_OF_PLANE:
                continue
            q = (*arm, angle, rotate)
            cost = sum((a - b) ** 2 for a, b in zip(q, near, strict=True))
            if cost >= best_cost:
                continue
            reason = beyond_limits(q, self.joints, self.lower, self.upper)
            if reason is None:
                best, best_cost = q, cost
            else:
                refused.append((cost, reason))
        if best is None and not refused:
            raise KinematicsError(
                f"The pose {describe_pose(pose)} tilts the gripper {math.degrees(math.asin(min(tilted, 1.0))):.2f} deg "
                "out of the arm's plane, which an arm of five joints can't. Ask for `attainable(pose)`."
            )
        if best is None:
            raise no_branch(pose, refused)
        return np.array(best)


def _wrist(waist: float, pitch: float, rows: Rows) -> tuple[float, float, float]:
    """Wrist angle and wrist rotation, rad, for a tool rotation, and how far its axis sticks out of the arm's plane."""
    c0, s0, cp, sp = math.cos(waist), math.sin(waist), math.cos(pitch), math.sin(pitch)
    (t00, t01, t02), (t10, t11, t12), (t20, _, _) = rows
    # (Rz(waist) Ry(pitch)).T @ rows = Ry(angle) Rx(rotate): first column and second row
    along = cp * (c0 * t00 + s0 * t10) - sp * t20
    out = -s0 * t00 + c0 * t10
    below = sp * (c0 * t00 + s0 * t10) + cp * t20
    angle = wrap_angle(math.atan2(-below, along))
    rotate = math.atan2(s0 * t02 - c0 * t12, -s0 * t01 + c0 * t11)
    return angle, rotate, out
