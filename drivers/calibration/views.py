"""Views of the board from known arm poses, and checks that there are enough and that they differ enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.calibration.detection import Detection
from drivers.calibration.transforms import inverse, turned_by
from robot.control.calibration import CalibrationError, Mount
from robot.interfaces import ArmKinematics
from trajectories.types import Float64

FEWEST_VIEWS = 8
SMALLEST_TURN = 0.05
"""rad: root mean square turn between views about the second axis; below it, positions and rotations look the same."""


@dataclass(frozen=True)
class View:
    """One picture of the board.

    Attributes:
        joints: float64 (N,) rad, as the arm reported them.
        seen: Corners in the picture.
    """

    joints: Float64
    seen: Detection


def arm_transform(kinematics: ArmKinematics, joints: Float64, mount: Mount) -> Float64:
    """float64 (4, 4) from what carries the board to what carries the camera.

    That is tip to base for a camera fixed beside the arm and a board in the gripper, and base to tip for a camera on
    the gripper and a board on the table; everything else is the same for both.
    """
    tip = kinematics.forward(joints).matrix()
    return tip if mount == "base" else inverse(tip)


def require_enough(views: Sequence[View], kinematics: ArmKinematics) -> None:
    """Refuse views that can't tell the camera's place.

    Raises:
        CalibrationError: When they are too few or too alike.
    """
    if len(views) < FEWEST_VIEWS:
        raise CalibrationError(
            f"The board was seen in {len(views)} poses, at least {FEWEST_VIEWS} are needed. Is it in the camera's "
            "view, flat, evenly lit and without glare, and do columns, rows and sizes agree with the print?"
        )
    turns = [kinematics.forward(view.joints).matrix()[:3, :3] for view in views]
    vectors = [turned_by(a.T @ b) for i, a in enumerate(turns) for b in turns[:i]]
    spread = np.einsum("ni,nj->ij", vectors, vectors) / len(vectors)
    second = float(np.sqrt(max(np.linalg.eigvalsh(spread)[1], 0.0)))
    if second < SMALLEST_TURN:
        raise CalibrationError(
            f"The {len(views)} views are too alike: between them the gripper turns about one axis only ({second:.3f} "
            f"rad about a second one, at least {SMALLEST_TURN} are needed). Tilt it about two axes."
        )
