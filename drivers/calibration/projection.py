"""OpenCV's pinhole model with distortion, as pure numpy."""

from __future__ import annotations

import numpy as np

from robot.control.calibration import Intrinsics
from trajectories.types import Float64


def project(points: Float64, intrinsics: Intrinsics) -> Float64:
    """Pixels float64 (N, 2) of points (N, 3) in the camera's frame (x right, y down, z forward)."""
    k1, k2, p1, p2, k3 = intrinsics.distortion
    flat = points[:, :2] / points[:, 2:]
    x, y = flat[:, 0], flat[:, 1]
    square = x * x + y * y
    radial = 1.0 + square * (k1 + square * (k2 + square * k3))
    bent = np.stack(
        [
            x * radial + 2.0 * p1 * x * y + p2 * (square + 2.0 * x * x),
            y * radial + p1 * (square + 2.0 * y * y) + 2.0 * p2 * x * y,
        ],
        axis=1,
    )
    return bent * intrinsics.focal + intrinsics.centre
