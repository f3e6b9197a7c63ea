"""Rigid transforms as float64 (4, 4), and the few things that calibration does with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot.control.pose import Rows, rotation_vector, rows_from_rotation_vector
from trajectories.types import Float64


def transform(rotation: Float64, position: Sequence[float] | Float64) -> Float64:
    """Build a transform from a rotation (3, 3) and a position (3,), m."""
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = position
    return result


def inverse(matrix: Float64) -> Float64:
    """Invert a rigid transform."""
    turn = matrix[:3, :3].T
    return transform(turn, -turn @ matrix[:3, 3])


def moved(matrix: Float64, change: Float64) -> Float64:
    """`matrix` turned in its own frame by a rotation vector (rad) and shifted (m): `change` is (6,)."""
    turn = np.array(rows_from_rotation_vector(change[:3].tolist()))
    return transform(matrix[:3, :3] @ turn, matrix[:3, 3] + change[3:])


def turned_by(rotation: Float64) -> Float64:
    """Rotation vector (3,), rad, of a rotation (3, 3)."""
    rows: Rows = tuple(tuple(row) for row in rotation.tolist())  # type: ignore[assignment]
    return np.array(rotation_vector(rows))


def nearest_rotation(matrix: Float64) -> Float64:
    """The rotation (3, 3) nearest to any matrix (3, 3) with a positive determinant."""
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def distance(first: Float64, second: Float64) -> tuple[float, float]:
    """How far two transforms are apart: m, rad."""
    turn = turned_by(first[:3, :3].T @ second[:3, :3])
    return float(np.linalg.norm(first[:3, 3] - second[:3, 3])), float(np.linalg.norm(turn))
