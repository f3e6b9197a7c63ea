"""Estimate focal length and board poses from pictures alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.calibration.board import Board
from drivers.calibration.transforms import transform
from drivers.calibration.views import View
from drivers.cameras.fitting import load_cv2
from robot.control.calibration import CalibrationError, Intrinsics
from trajectories.types import Float64


def first_intrinsics(views: Sequence[View], board: Board, size: tuple[int, int]) -> Intrinsics:
    """A focal length for images of `size` (height, width) without distortion; the refinement does the rest.

    Raises:
        CalibrationError: When OpenCV finds none.
        MissingDependencyError: Without OpenCV.
    """
    cv2 = load_cv2()
    height, width = size
    corners = board.corners().astype(np.float32)
    guess = np.array([[width, 0.0, (width - 1) / 2], [0.0, width, (height - 1) / 2], [0.0, 0.0, 1.0]])
    flags = (
        cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_PRINCIPAL_POINT | cv2.CALIB_FIX_ASPECT_RATIO
        | cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
    )  # fmt: skip
    try:
        _, matrix, _, _, _ = cv2.calibrateCamera(
            [corners[view.seen.corners] for view in views],
            [view.seen.pixels.astype(np.float32) for view in views],
            (width, height),
            guess,
            np.zeros(5),
            flags=flags,
        )
    except cv2.error as error:
        raise CalibrationError(f"The camera's focal length can't be found from these views: {error}") from error
    return Intrinsics((float(matrix[0, 0]), float(matrix[1, 1])), (float(matrix[0, 2]), float(matrix[1, 2])))


def seen_pose(view: View, board: Board, intrinsics: Intrinsics) -> Float64:
    """float64 (4, 4) from the board's to the camera's frame, from one picture.

    Raises:
        CalibrationError: When the corners fit no pose.
        MissingDependencyError: Without OpenCV.
    """
    cv2 = load_cv2()
    (fx, fy), (cx, cy) = intrinsics.focal, intrinsics.centre
    matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    found, turn, place = cv2.solvePnP(
        board.corners()[view.seen.corners], view.seen.pixels, matrix, np.array(intrinsics.distortion),
        flags=cv2.SOLVEPNP_IPPE,
    )  # fmt: skip
    if not found:
        raise CalibrationError("The corners of a view fit no pose of the board; are its columns, rows and sizes right?")
    return transform(cv2.Rodrigues(turn)[0], place.ravel())
