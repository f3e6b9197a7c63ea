"""Compute a calibration from views and check it, or raise an error that says what to do differently."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.calibration.board import Board
from drivers.calibration.hand_eye import hand_eye
from drivers.calibration.initial import first_intrinsics, seen_pose
from drivers.calibration.refine import Estimate, Refined, refine
from drivers.calibration.views import View, arm_transform, require_enough
from robot.arms.model import ArmModel
from robot.arms.wx250s import WX250S
from robot.control.calibration import CalibrationError, Intrinsics, Mount

_ROUGH = 1e-2
LARGEST_ERROR_MM = 5.0
LARGEST_CAMERA_M = 0.005
LARGEST_CAMERA_RAD = 0.01
LARGEST_OFFSET_DEVIATION = 0.01
LARGEST_OFFSET = 0.3
"""rad; beyond, a horn is mounted on the wrong tooth."""


def solve(
    views: Sequence[View],
    board: Board,
    size: tuple[int, int],
    mount: Mount,
    *,
    joints: bool = False,
    intrinsics: Intrinsics | None = None,
    model: ArmModel = WX250S,
) -> Refined:
    """Camera, board and, if asked for, joint offsets.

    Args:
        views: Poses and pictures.
        board: What is in them.
        size: (height, width) of the pictures.
        mount: What the camera is fixed to.
        joints: Whether to estimate joint offsets as well.
        intrinsics: Of the camera; None: estimated as well.
        model: Which arm.

    Raises:
        CalibrationError: When views are too few or too alike, or the result isn't to be trusted.
        MissingDependencyError: Without OpenCV.
    """
    arm = model.kinematics()
    require_enough(views, arm)
    lens = intrinsics or first_intrinsics(views, board, size)
    seen = [seen_pose(view, board, lens) for view in views]
    camera, mounted = hand_eye([arm_transform(arm, view.joints, mount) for view in views], seen)
    first = Estimate(camera, mounted, np.zeros(model.size), lens)
    rough = refine(views, board, arm, mount, first, joints=False, intrinsics=False, tolerance=_ROUGH)
    found = refine(views, board, arm, mount, rough.estimate, joints=joints, intrinsics=intrinsics is None)
    _require_trust(found, model.joints)
    return found


def _require_trust(found: Refined, names: Sequence[str]) -> None:
    """Refuse a result that contradicts itself or is hardly determined.

    Raises:
        CalibrationError: Saying why and what to do.
    """
    if found.error_mm > LARGEST_ERROR_MM:
        raise CalibrationError(
            f"Arm and camera contradict each other by {found.error_mm:.1f} mm ({found.error_px:.1f} pixels), at most "
            f"{LARGEST_ERROR_MM:g} are allowed. Did the board slip in the gripper or the camera move? Are square_mm "
            "and marker_mm as measured on the print? If the arm was just assembled, estimate the joints, too "
            "(calibrate.what=joints)."
        )
    turn, place = found.camera_deviations[:3].max(), found.camera_deviations[3:].max()
    unsure = np.nan_to_num(found.offset_deviations)
    if turn > LARGEST_CAMERA_RAD or place > LARGEST_CAMERA_M or unsure.max() > LARGEST_OFFSET_DEVIATION:
        raise CalibrationError(
            f"The views leave the camera uncertain by {1e3 * place:.1f} mm and {np.degrees(turn):.2f} degrees, and the "
            f"joints by {unsure.max():.4f} rad. Take more views, nearer to the camera and more tilted "
            "(calibrate.views)."
        )
    worst = int(np.argmax(np.abs(found.estimate.offsets)))
    if abs(found.estimate.offsets[worst]) > LARGEST_OFFSET:
        raise CalibrationError(
            f"The {names[worst]} is off by {found.estimate.offsets[worst]:+.2f} rad, more than {LARGEST_OFFSET}: "
            "its horn is mounted wrongly. Correct that first."
        )
