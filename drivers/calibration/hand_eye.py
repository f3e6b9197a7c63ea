"""Compute the poses of camera and board in closed form, as the start of the refinement.

For every view `camera @ seen = arm @ board`. The rotations are the null vector of a linear system in both of them
(Shah, Solving the robot-world/hand-eye calibration problem using the Kronecker product, 2013); then the positions are a
linear system, too. (OpenCV's own `calibrateHandEye` isn't in opencv-python 5.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.calibration.transforms import nearest_rotation, transform
from trajectories.types import Float64


def hand_eye(arms: Sequence[Float64], seen: Sequence[Float64]) -> tuple[Float64, Float64]:
    """Camera and board, each float64 (4, 4) in the frame of what carries it.

    Args:
        arms: Of every view, from what carries the board to what carries the camera (`arm_transform`).
        seen: Of every view, from the board's to the camera's frame.
    """
    eye = np.eye(3)
    equations = np.concatenate(
        [np.hstack([np.kron(b[:3, :3].T, eye), -np.kron(eye, a[:3, :3])]) for a, b in zip(arms, seen, strict=True)]
    )
    both = np.linalg.svd(equations)[2][-1]
    if np.linalg.det(both[:9].reshape(3, 3)) < 0:
        both = -both
    camera, board = (nearest_rotation(part.reshape(3, 3).T) for part in (both[:9], both[9:]))
    left = np.concatenate([np.hstack([eye, -a[:3, :3]]) for a in arms])
    right = np.concatenate([a[:3, 3] - camera @ b[:3, 3] for a, b in zip(arms, seen, strict=True)])
    places = np.linalg.lstsq(left, right, rcond=None)[0]
    return transform(camera, places[:3]), transform(board, places[3:])
