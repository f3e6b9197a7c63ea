"""The board: a chessboard whose white squares hold markers (ChArUco), so that a part of it is enough.

Its frame: origin at the outer corner of the square at the top left, x to the right, y down, z into the board; m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.cameras.fitting import load_cv2
from trajectories.errors import ConfigError
from trajectories.numbers import positive
from trajectories.types import Float64, UInt8

_MARKERS = 50
"""In OpenCV's dictionary of 4 x 4 markers."""


@dataclass(frozen=True)
class Board:
    """Squares and markers; measure the print, printers scale.

    Attributes:
        columns: Squares in a row.
        rows: Squares in a column.
        square_mm: Side of a square, mm.
        marker_mm: Side of a marker, mm.
    """

    columns: int = 7
    rows: int = 5
    square_mm: float = 20.0
    marker_mm: float = 15.0

    def __post_init__(self) -> None:
        """Refuse what can't be drawn.

        Raises:
            ConfigError: Naming it.
        """
        positive("square_mm", self.square_mm)
        positive("marker_mm", self.marker_mm)
        if not self.marker_mm < self.square_mm:
            raise ConfigError(f"Markers lie inside the squares: {self.marker_mm} mm must be below {self.square_mm} mm.")
        if min(self.columns, self.rows) < 4 or self.columns * self.rows // 2 > _MARKERS:
            raise ConfigError(
                f"A board has at least 4 x 4 squares and at most {2 * _MARKERS} in all, got {self.columns} x "
                f"{self.rows}."
            )

    @property
    def size_m(self) -> tuple[float, float]:
        """(width, height), m."""
        return self.columns * self.square_mm * 1e-3, self.rows * self.square_mm * 1e-3

    @property
    def centre(self) -> Float64:
        """(3,) m, in the board's frame."""
        return np.array([*self.size_m, 0.0]) / 2

    def corners(self) -> Float64:
        """float64 (N, 3) m: inner corners, row by row, in the order of their numbers."""
        x, y = np.meshgrid(np.arange(1, self.columns), np.arange(1, self.rows))
        squares = np.stack([x.ravel(), y.ravel(), np.zeros(x.size, dtype=np.int64)], axis=1)
        return squares.astype(np.float64) * (self.square_mm * 1e-3)

    def picture(self, pixels_per_mm: int) -> UInt8:
        """uint8 (H, W): the board without margin.

        Raises:
            MissingDependencyError: Without OpenCV.
            ConfigError: When a square is no whole number of pixels.
        """
        square = self.square_mm * pixels_per_mm
        if abs(square - round(square)) > 1e-6:
            raise ConfigError(
                f"A square of {self.square_mm} mm is {square:.2f} pixels at {pixels_per_mm} a mm; choose a size that "
                "is a whole number of them."
            )
        return self.opencv().generateImage((self.columns * round(square), self.rows * round(square)), marginSize=0)

    def opencv(self) -> Any:
        """The board as OpenCV knows it.

        Raises:
            MissingDependencyError: Without OpenCV.
        """
        aruco = load_cv2().aruco
        dictionary = aruco.getPredefinedDictionary(aruco.DICT_4X4_50)
        return aruco.CharucoBoard((self.columns, self.rows), self.square_mm * 1e-3, self.marker_mm * 1e-3, dictionary)
