"""Find the board in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.calibration.board import Board
from drivers.cameras.fitting import load_cv2
from trajectories.types import Float64, Int64, UInt8

FEWEST_CORNERS = 8


@dataclass(frozen=True)
class Detection:
    """The corners that were seen.

    Attributes:
        corners: int64 (N,) their numbers, see `Board.corners`.
        pixels: float64 (N, 2) x, y.
    """

    corners: Int64
    pixels: Float64


class BoardDetector:
    """Finds one board.

    Raises:
        MissingDependencyError: Without OpenCV.
    """

    def __init__(self, board: Board) -> None:
        self._board: Any = board.opencv()
        self._detector: Any = load_cv2().aruco.CharucoDetector(self._board)

    def find(self, image: UInt8) -> Detection | None:
        """The board in uint8 (H, W, 3) RGB; None when fewer than 8 corners are seen, or all on one line."""
        cv2 = load_cv2()
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        pixels, numbers, _, _ = self._detector.detectBoard(grey)
        if numbers is None or len(numbers) < FEWEST_CORNERS or self._board.checkCharucoCornersCollinear(numbers):
            return None
        return Detection(numbers.ravel().astype(np.int64), pixels.reshape(-1, 2).astype(np.float64))
