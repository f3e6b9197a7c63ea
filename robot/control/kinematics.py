"""Forward and inverse kinematics of six-axis arms with a spherical wrist in closed form: WidowX 250 S, ViperX 300 S.

The last three axes meet in one point (offsets of TrossenRobotics' wx250s URDF), so the wrist is spherical:
its centre gives waist, shoulder and elbow (a planar two-link arm), the remaining rotation is an x-y-x Euler
triple. Of the up to eight branches within the joint limits the one nearest to the given joints is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robot.control.pose import Pose, Row, Rows, rpy_of_tool_rows, tool_rows
from trajectories.errors import KinematicsError
from trajectories.types import Float64

JOINT_NAMES = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
FULL_TURN_LIMIT = math.pi - 1e-5
JOINT_LOWER: tuple[float, ...] = (
    -FULL_TURN_LIMIT, math.radians(-108), math.radians(-123),
    -FULL_TURN_LIMIT, math.radians(-100), -FULL_TURN_LIMIT,
)  # fmt: skip
"""rad, the servos' minimum positions."""
JOINT_UPPER: tuple[float, ...] = (
    FULL_TURN_LIMIT, math.radians(114), math.radians(92),
    FULL_TURN_LIMIT, math.radians(123), FULL_TURN_LIMIT,
)  # fmt: skip
"""rad, the servos' maximum positions."""

_SINGULAR_SINE = 1e-9  # below this the forearm and the wrist axis are parallel


@dataclass(frozen=True)
class ArmGeometry:
    """Offsets between the joints at zero, m.

    Attributes:
        shoulder_height: Base to the shoulder axis, z.
        elbow_x: Shoulder to elbow, x.
        elbow_z: Shoulder to elbow, z.
        forearm: Elbow to the wrist's centre, x.
        tool: Wrist's centre to the point between the finger tips, x.
    """

    shoulder_height: float = 0.072 + 0.03865
    elbow_x: float = 0.04975
    elbow_z: float = 0.25
    forearm: float = 0.175 + 0.075
    tool: float = 0.065 + 0.043 + 0.023 + 0.027575


@dataclass(frozen=True)
class Kinematics:
    """Closed-form kinematics of one arm.

    Attributes:
        geometry: Link offsets.
        lower: (6,) smallest joint angles, rad.
        upper: (6,) largest joint angles, rad.
    """

    geometry: ArmGeometry = field(default_factory=ArmGeometry)
    lower: tuple[float, ...] = JOINT_LOWER
    upper: tuple[float, ...] = JOINT_UPPER

    def forward(self, joints: Sequence[float] | Float64) -> Pose:
        """Pose of the tip for joint angles (6,), rad.

        Raises:
            KinematicsError: When `joints` are not six finite numbers.
        """
        q = checked_joints(joints, JOINT_NAMES)
        position, rows = self._tip(q)
        return Pose(np.array(position), np.array(rpy_of_tool_rows(rows)))

    def inverse(self, pose: Pose, near_joints: Sequence[float] | Float64) -> Float64:
        """Joint angles float64 (6,), rad, within the limits that reach `pose`, nearest to `near_joints`.

        Raises:
            KinematicsError: When the pose is out of reach, a joint limit forbids every branch, or an
                argument is not finite.
        """
        near = checked_joints(near_joints, JOINT_NAMES)
        rows = tool_rows(pose.rpy.tolist())
        best: tuple[float, ...] | None = None
        best_cost = math.inf
        refused: list[tuple[float, str]] = []
        arms = [(_squared(arm, near), arm) for arm in self.arm_branches(pose, near[0])]
        for arm_cost, arm in sorted(arms):
            if arm_cost >= best_cost:
                break
            for wrist in _wrist_branches(arm[0], arm[1] + arm[2], rows, near):
                cost = arm_cost + _squared(wrist, near[3:])
                if cost >= best_cost:
                    continue
                q = (*arm, *wrist)
                reason = beyond_limits(q, JOINT_NAMES, self.lower, self.upper)
                if reason is None:
                    best, best_cost = q, cost
                else:
                    refused.append((cost, reason))
        if best is None:
            raise no_branch(pose, refused)
        return np.array(best)

    def attainable(self, pose: Pose) -> Pose:
        """The pose itself: six joints give the tip any rotation."""
        return pose

    def arm_branches(self, pose: Pose, near_waist: float) -> list[tuple[float, float, float]]:
        """Waist, shoulder and elbow angles, rad, that put the wrist's centre where `pose` of the tip needs it.

        Args:
            pose: Of the tip.
            near_waist: The waist's angle, rad, where the centre lies on its axis.

        Raises:
            KinematicsError: When the pose isn't finite or out of reach.
        """
        px, py, pz = pose.position.tolist()
        rows = tool_rows(pose.rpy.tolist())
        if not math.isfinite(px + py + pz + rows[0][0] + rows[1][0] + rows[2][0]):
            raise KinematicsError(f"Inverse kinematics needs a finite pose, got {describe_pose(pose)}.")
        reach = self.geometry.tool
        x, y, z = px - reach * rows[0][0], py - reach * rows[1][0], pz - reach * rows[2][0]
        return self._arm_branches(x, y, z, near_waist, pose)

    def _tip(self, q: Sequence[float]) -> tuple[Row, Rows]:
        """Position and tool rotation."""
        g = self.geometry
        c0, s0 = math.cos(q[0]), math.sin(q[0])
        c1, s1 = math.cos(q[1]), math.sin(q[1])
        c12, s12 = math.cos(q[1] + q[2]), math.sin(q[1] + q[2])
        c3, s3 = math.cos(q[3]), math.sin(q[3])
        c4, s4 = math.cos(q[4]), math.sin(q[4])
        c5, s5 = math.cos(q[5]), math.sin(q[5])
        # Rx(q3) Ry(q4) Rx(q5), the wrist relative to the forearm
        w00, w01, w02 = c4, s4 * s5, s4 * c5
        w10, w11, w12 = s3 * s4, c3 * c5 - s3 * c4 * s5, -c3 * s5 - s3 * c4 * c5
        w20, w21, w22 = -c3 * s4, s3 * c5 + c3 * c4 * s5, -s3 * s5 + c3 * c4 * c5
        # Ry(q1 + q2), then Rz(q0)
        x0, x1, x2 = c12 * w00 + s12 * w20, c12 * w01 + s12 * w21, c12 * w02 + s12 * w22
        rows: Rows = (
            (c0 * x0 - s0 * w10, c0 * x1 - s0 * w11, c0 * x2 - s0 * w12),
            (s0 * x0 + c0 * w10, s0 * x1 + c0 * w11, s0 * x2 + c0 * w12),
            (-s12 * w00 + c12 * w20, -s12 * w01 + c12 * w21, -s12 * w02 + c12 * w22),
        )
        radius = g.elbow_x * c1 + g.elbow_z * s1 + g.forearm * c12
        height = g.shoulder_height - g.elbow_x * s1 + g.elbow_z * c1 - g.forearm * s12
        position = (
            c0 * radius + g.tool * rows[0][0],
            s0 * radius + g.tool * rows[1][0],
            height + g.tool * rows[2][0],
        )
        return position, rows

    def _arm_branches(
        self, x: float, y: float, z: float, near_waist: float, pose: Pose
    ) -> list[tuple[float, float, float]]:
        """Waist, shoulder and elbow angles, rad, that put the wrist's centre at (x, y, z), m."""
        g = self.geometry
        upper = math.hypot(g.elbow_x, g.elbow_z)
        rise = math.atan2(g.elbow_z, g.elbow_x)
        radius, height = math.hypot(x, y), z - g.shoulder_height
        squared = radius * radius + height * height
        distance = math.sqrt(squared)
        longest, shortest = upper + g.forearm, abs(upper - g.forearm)
        room = (longest * longest - squared) * (squared - shortest * shortest)
        if room < 0.0:
            limit = f"at most {longest:.3f}" if distance > longest else f"at least {shortest:.3f}"
            raise KinematicsError(
                f"The pose {describe_pose(pose)} is out of reach: its wrist would be {distance:.3f} m from the "
                f"shoulder, {limit} m is possible. Ask for a pose inside the workspace."
            )
        four_areas = math.sqrt(room)
        at_shoulder = math.atan2(four_areas, upper * upper + squared - g.forearm * g.forearm)
        at_wrist = math.atan2(four_areas, g.forearm * g.forearm + squared - upper * upper)
        waist = math.atan2(y, x) if radius > 1e-9 else near_waist
        branches = []
        for turn, direction in (
            (waist, math.atan2(height, radius)),
            (waist + math.pi, math.atan2(height, -radius)),
        ):
            for sign in (1.0, -1.0):
                shoulder = rise - direction - sign * at_shoulder
                forearm = sign * at_wrist - direction  # angle of the forearm below the horizontal
                branches.append((wrap_angle(turn), wrap_angle(shoulder), wrap_angle(forearm - shoulder)))
        return branches


def beyond_limits(
    q: Sequence[float], names: Sequence[str], lower: Sequence[float], upper: Sequence[float]
) -> str | None:
    """The first joint whose angle lies beyond its limits, in words, or None."""
    for name, angle, low, high in zip(names, q, lower, upper, strict=True):
        if not low - 1e-9 <= angle <= high + 1e-9:
            return (
                f"{name} at {math.degrees(angle):.1f} deg "
                f"(allowed {math.degrees(low):.1f} ... {math.degrees(high):.1f})"
            )
    return None


def no_branch(pose: Pose, refused: Sequence[tuple[float, str]]) -> KinematicsError:
    """The error for a pose that only branches beyond a limit reach: (cost, `beyond_limits`) of each."""
    return KinematicsError(
        f"The pose {describe_pose(pose)} needs a joint beyond its limit in every branch; the nearest one "
        f"needs {min(refused)[1]}. Ask for a pose nearer to the middle of the workspace."
    )


def _wrist_branches(waist: float, pitch: float, rows: Rows, near: Sequence[float]) -> tuple[Row, Row] | tuple[Row]:
    """Forearm roll, wrist angle and wrist rotation, rad, that leave the tool with rotation `rows`."""
    c0, s0, cp, sp = math.cos(waist), math.sin(waist), math.cos(pitch), math.sin(pitch)
    (t00, t01, t02), (t10, t11, t12), (t20, t21, t22) = rows
    # Only the first row and column of (Rz(waist) Ry(pitch)).T @ rows matter, save at the singularity.
    w00 = cp * (c0 * t00 + s0 * t10) - sp * t20
    w01 = cp * (c0 * t01 + s0 * t11) - sp * t21
    w02 = cp * (c0 * t02 + s0 * t12) - sp * t22
    w10 = -s0 * t00 + c0 * t10
    w20 = sp * (c0 * t00 + s0 * t10) + cp * t20
    sine = math.hypot(w01, w02)
    if sine < _SINGULAR_SINE:
        w11 = -s0 * t01 + c0 * t11
        w21 = sp * (c0 * t01 + s0 * t11) + cp * t21
        total = math.atan2(w21, w11) if w00 > 0 else math.atan2(-w21, w11)
        return ((near[3], math.atan2(sine, w00), wrap_angle(total - near[3])),)
    roll, rotate = math.atan2(w10, -w20), math.atan2(w01, w02)
    angle = math.atan2(sine, w00)
    return (roll, angle, rotate), (wrap_angle(roll + math.pi), -angle, wrap_angle(rotate + math.pi))


def _squared(three: Row, others: Sequence[float]) -> float:
    """Squared distance between the first three entries."""
    a, b, c = three[0] - others[0], three[1] - others[1], three[2] - others[2]
    return a * a + b * b + c * c


def wrap_angle(angle: float) -> float:
    """The same angle in (-pi, pi], rad."""
    if -math.pi < angle <= math.pi:
        return angle
    return math.pi - (math.pi - angle) % (2.0 * math.pi)


def checked_joints(joints: Sequence[float] | Float64, names: Sequence[str]) -> list[float]:
    """One finite angle in rad for each of `names`.

    Raises:
        KinematicsError: When they aren't.
    """
    q = np.asarray(joints, dtype=np.float64).ravel().tolist()
    if len(q) != len(names) or not math.isfinite(sum(q)):
        raise KinematicsError(f"Expected {len(names)} finite joint angles in rad, got {joints!r}.")
    return q


def describe_pose(pose: Pose) -> str:
    """A pose in words, for messages."""
    x, y, z = pose.position.tolist()
    roll, pitch, yaw = pose.rpy.tolist()
    return f"(x {x:.3f}, y {y:.3f}, z {z:.3f} m; roll {roll:.2f}, pitch {pitch:.2f}, yaw {yaw:.2f} rad)"
