"""Poses of many frames at once, and the motions between them.

Rotations are those of `robot.control.pose`: relative to the gripper pointing down, `R = Rz(yaw) Ry(pitch) Rx(roll)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation as Turn

from factory.doors.columns import Columns
from factory.doors.mapping import WHERE, DoorMapping, Joints, Place, Rotation
from robot.arms.registry import arm_model
from robot.control.pose import DOWN
from trajectories.errors import ConfigError, KinematicsError
from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.types import Float64

FINGERS_ALONG_Z = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Our gripper's frame (x along the fingers) in one whose z runs along them; both have y across the fingers."""


@dataclass(frozen=True)
class Poses:
    """Where the tip is in T frames.

    Attributes:
        position: float64 (T, 3) m, base frame.
        turn: T rotations relative to the gripper pointing down.
    """

    position: Float64
    turn: Turn

    def __len__(self) -> int:
        return len(self.position)

    def at(self, indices: np.ndarray) -> Poses:
        """The poses of some frames."""
        return Poses(self.position[indices], self.turn[indices])

    @property
    def rpy(self) -> Float64:
        """float64 (T, 3) rad."""
        return self.turn.as_euler("xyz")

    def motions(self) -> Float64:
        """From each frame to the next, float64 (T - 1, 6): m along the base's axes, rpy in rad about the tip."""
        turned = (self.turn[1:] * self.turn[:-1].inv()).as_euler("xyz")
        return np.concatenate([np.diff(self.position, axis=0), turned], 1)


def read_place(columns: Columns, place: Place, where: str, mapping: DoorMapping) -> Poses:
    """The poses that a part of the mapping names.

    Raises:
        ConfigError: A key or entry isn't there.
        DamagedEpisodeError: A number isn't finite.
    """
    if place.joints is not None:
        return _forward(_joints(columns, place.joints, f"{where}.joints", str(mapping.arm)), str(mapping.arm))
    if place.position is None or place.rotation is None:
        raise ConfigError(f"{WHERE}.{where} needs position and rotation, or joints; give their keys in the source.")
    position = columns.numbers(place.position, f"{where}.position", 3)
    turn = _turn(columns, place.rotation, f"{where}.rotation")
    _require_finite(position, where)
    return _in_base(Poses(position, turn), np.array(mapping.base))


def _in_base(poses: Poses, base: Float64) -> Poses:
    """Poses in the arm's base frame, from the frame in which the base is at (x, y, z, roll, pitch, yaw)."""
    if not base.any():
        return poses
    back = Turn.from_euler("xyz", base[3:]).inv()
    return Poses(back.apply(poses.position - base[:3]), back * poses.turn)


def _turn(columns: Columns, rotation: Rotation, where: str) -> Turn:
    numbers = columns.numbers(rotation, where, rotation.size)
    _require_finite(numbers, where)
    about_fingers = Turn.from_euler("x", rotation.turned, degrees=True)
    if rotation.form == "rpy_down":
        down = Turn.from_matrix(DOWN)
        return Turn.from_euler("xyz", numbers) * down * about_fingers * down.inv()
    if rotation.form in ("quat_xyzw", "quat_wxyz"):
        if (np.linalg.norm(numbers, axis=1) < 1e-6).any():
            raise DamagedEpisodeError(f"{rotation.key!r} has a quaternion of length 0.")
        tool = Turn.from_quat(numbers, scalar_first=rotation.form == "quat_wxyz")
    elif rotation.form == "rotvec":
        tool = Turn.from_rotvec(numbers)
    elif rotation.form == "matrix":
        tool = Turn.from_matrix(numbers.reshape(-1, 3, 3))
    else:
        tool = Turn.from_euler("xyz", numbers)
    ours = Turn.from_matrix(FINGERS_ALONG_Z) if rotation.fingers == "z" else Turn.identity()
    return tool * ours * about_fingers * Turn.from_matrix(DOWN).inv()


def _joints(columns: Columns, joints: Joints, where: str, arm: str) -> Float64:
    """Angles of the `ArmModel`'s joints, float64 (T, N) rad."""
    count = arm_model(arm).size
    values = columns.numbers(joints, where, count)
    _require_finite(values, where)
    for name in ("range", "sign", "zero"):
        given = getattr(joints, name)
        if given is not None and len(given) != count:
            raise ConfigError(f"{WHERE}.{where}.{name} has {len(given)} entries; the {arm} has {count} joints.")
    if joints.units == "percent":
        low, high = np.array(joints.range).T
        values = np.radians(low + (values + 100.0) / 200.0 * (high - low))
    elif joints.units == "degrees":
        values = np.radians(values)
    zero = np.radians(np.zeros(count) if joints.zero is None else np.array(joints.zero))
    return (values - zero) * (np.ones(count) if joints.sign is None else np.array(joints.sign))


def _forward(angles: Float64, arm: str) -> Poses:
    kinematics = arm_model(arm).kinematics()
    try:
        poses = [kinematics.forward(row) for row in angles]
    except KinematicsError as error:
        raise DamagedEpisodeError(f"Joints that no {arm} can have: {error}") from error
    turn = Turn.from_euler("xyz", np.array([pose.rpy for pose in poses]))
    return Poses(np.array([pose.position for pose in poses]), turn)


def _require_finite(values: Float64, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        raise DamagedEpisodeError(f"{WHERE}.{where} is NaN or infinite in {len(bad)} frames, first in frame {bad[0]}.")
