"""Poses of the gripper tip in the arm's base frame, in BridgeData V2's convention.

Roll, pitch and yaw are relative to the gripper pointing straight down: `rpy = euler(R @ DOWN.T)` with
static x-y-z angles, i.e. `R = Rz(yaw) @ Ry(pitch) @ Rx(roll) @ DOWN` (rail-berkeley/bridge_data_robot,
`widowx_envs`). The small functions work on tuples of rows: at this size plain floats beat numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajectories.errors import KinematicsError
from trajectories.types import Float64

Row = tuple[float, float, float]
Rows = tuple[Row, Row, Row]

DOWN: Float64 = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Rotation of the tool (x along the fingers) when the gripper points down, in the base frame."""


def rows_from_rpy(rpy: Sequence[float]) -> Rows:
    """`Rz(yaw) @ Ry(pitch) @ Rx(roll)` as rows; angles in rad."""
    roll, pitch, yaw = rpy
    cr, sr = math.cos(roll), math.sin(roll)
    cp, sp = math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )


def rpy_from_rows(rows: Rows) -> Row:
    """Inverse of `rows_from_rpy`, pitch in [-pi/2, pi/2]; at the gimbal lock roll is 0."""
    (r00, r01, _), (r10, r11, _), (r20, r21, r22) = rows
    cos_pitch = math.hypot(r00, r10)
    if cos_pitch < 1e-9:
        return 0.0, math.atan2(-r20, cos_pitch), math.atan2(-r01, r11)
    return math.atan2(r21, r22), math.atan2(-r20, cos_pitch), math.atan2(r10, r00)


def multiply(a: Rows, b: Rows) -> Rows:
    """Matrix product `a @ b`."""
    (b00, b01, b02), (b10, b11, b12), (b20, b21, b22) = b
    (a00, a01, a02), (a10, a11, a12), (a20, a21, a22) = a
    return (
        (
            a00 * b00 + a01 * b10 + a02 * b20,
            a00 * b01 + a01 * b11 + a02 * b21,
            a00 * b02 + a01 * b12 + a02 * b22,
        ),
        (
            a10 * b00 + a11 * b10 + a12 * b20,
            a10 * b01 + a11 * b11 + a12 * b21,
            a10 * b02 + a11 * b12 + a12 * b22,
        ),
        (
            a20 * b00 + a21 * b10 + a22 * b20,
            a20 * b01 + a21 * b11 + a22 * b21,
            a20 * b02 + a21 * b12 + a22 * b22,
        ),
    )


def transpose(a: Rows) -> Rows:
    """The inverse of a rotation."""
    (a00, a01, a02), (a10, a11, a12), (a20, a21, a22) = a
    return (a00, a10, a20), (a01, a11, a21), (a02, a12, a22)


def tool_rows(rpy: Sequence[float]) -> Rows:
    """Rotation of the tool in the base frame, `rows_from_rpy(rpy) @ DOWN`."""
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = rows_from_rpy(rpy)
    return (-r02, r01, r00), (-r12, r11, r10), (-r22, r21, r20)


def rpy_of_tool_rows(rows: Rows) -> Row:
    """Inverse of `tool_rows`: roll, pitch, yaw relative to the gripper pointing down."""
    (t00, t01, t02), (t10, t11, t12), (t20, t21, t22) = rows
    return rpy_from_rows(((t02, t01, -t00), (t12, t11, -t10), (t22, t21, -t20)))


def rotation_vector(rows: Rows) -> Row:
    """Axis times angle of a rotation, rad (the logarithm map), angle in [0, pi]."""
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = rows
    x, y, z = 0.5 * (r21 - r12), 0.5 * (r02 - r20), 0.5 * (r10 - r01)
    sine = math.sqrt(x * x + y * y + z * z)
    cosine = 0.5 * (r00 + r11 + r22 - 1.0)
    if sine > 1e-9:
        scale = math.atan2(sine, cosine) / sine
        return x * scale, y * scale, z * scale
    if cosine > 0.0:
        return x, y, z
    # Half a turn: the axis is the largest column of R + I.
    columns = ((r00 + 1.0, r10, r20), (r01, r11 + 1.0, r21), (r02, r12, r22 + 1.0))
    x, y, z = max(columns, key=lambda column: math.hypot(*column))
    scale = math.pi / math.hypot(x, y, z)
    return x * scale, y * scale, z * scale


def rows_from_rotation_vector(vector: Sequence[float]) -> Rows:
    """Inverse of `rotation_vector` (Rodrigues' formula)."""
    angle = math.hypot(*vector)
    if angle < 1e-12:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    x, y, z = (component / angle for component in vector)
    c, s = math.cos(angle), math.sin(angle)
    v = 1.0 - c
    return (
        (c + x * x * v, x * y * v - z * s, x * z * v + y * s),
        (y * x * v + z * s, c + y * y * v, y * z * v - x * s),
        (z * x * v - y * s, z * y * v + x * s, c + z * z * v),
    )


@dataclass(frozen=True)
class Pose:
    """Where the gripper tip is.

    Attributes:
        position: float64 (3,) m, base frame.
        rpy: float64 (3,) rad, roll, pitch, yaw relative to the gripper pointing down.
    """

    position: Float64
    rpy: Float64

    @classmethod
    def of(cls, position: Sequence[float], rpy: Sequence[float] = (0.0, 0.0, 0.0)) -> Pose:
        """From any two sequences of three numbers.

        Raises:
            KinematicsError: When a number is not finite or one is missing.
        """
        p, r = np.asarray(position, dtype=np.float64), np.asarray(rpy, dtype=np.float64)
        if p.shape != (3,) or r.shape != (3,) or not (np.isfinite(p).all() and np.isfinite(r).all()):
            raise KinematicsError(f"A pose needs 3 finite metres and 3 finite radians, got {position!r} and {rpy!r}.")
        return cls(p, r)

    @classmethod
    def from_matrix(cls, position: Sequence[float], rotation: Float64) -> Pose:
        """From the tip's position, m, and the tool's rotation in the base frame, float64 (3, 3)."""
        rows: Rows = tuple(tuple(float(x) for x in row) for row in rotation)  # type: ignore[assignment]
        return cls.of(position, rpy_of_tool_rows(rows))

    def matrix(self) -> Float64:
        """float64 (4, 4) transform from the tool frame (x along the fingers) to the base frame."""
        transform = np.eye(4)
        transform[:3, :3] = tool_rows(self.rpy.tolist())
        transform[:3, 3] = self.position
        return transform
