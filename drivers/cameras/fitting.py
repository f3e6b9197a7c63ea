"""Cut a window out of the device's image and shrink it to the size that the `RobotSpec` wants."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.types import UInt8, UInt16

Window = tuple[int, int, int, int]


def load_cv2() -> Any:
    """The OpenCV module.

    Raises:
        MissingDependencyError: When it isn't installed or doesn't load.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise MissingDependencyError(f"OpenCV does not load ({error}); run `pip install opencv-python`.") from error


def window(resolution: tuple[int, int], size: tuple[int, int], crop: Window | None) -> Window:
    """The part of the image that is used: (top, left, height, width), pixels.

    Args:
        resolution: (height, width) of the device's image.
        size: (height, width) that is wanted.
        crop: Chosen by a person; None takes the largest window in the middle with the shape of `size`.

    Raises:
        ConfigError: When the window leaves the image or is smaller than `size`.
    """
    height, width = resolution
    if crop is None:
        scale = min(height / size[0], width / size[1])
        rows, columns = min(height, round(size[0] * scale)), min(width, round(size[1] * scale))
        crop = ((height - rows) // 2, (width - columns) // 2, rows, columns)
    top, left, rows, columns = crop
    if top < 0 or left < 0 or rows < 1 or columns < 1 or top + rows > height or left + columns > width:
        raise ConfigError(
            f"The window (top, left, height, width) = {crop} leaves the camera's image of {height} x {width} pixels."
        )
    if rows < size[0] or columns < size[1]:
        raise ConfigError(
            f"An image of {size[0]} x {size[1]} pixels is wanted, only {rows} x {columns} are used of the camera's; "
            "choose a higher resolution, a larger crop or a smaller size."
        )
    return crop


def fit_colour(image: UInt8, size: tuple[int, int], part: Window) -> UInt8:
    """uint8 (H, W, 3) -> uint8 (*size, 3): every pixel the mean of the area that it covers."""
    top, left, rows, columns = part
    cut = image[top : top + rows, left : left + columns]
    if cut.shape[:2] == size:
        return np.ascontiguousarray(cut)
    cv2 = load_cv2()
    return cv2.resize(cut, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def fit_depth(image: UInt16, size: tuple[int, int], part: Window) -> UInt16:
    """uint16 (H, W) -> uint16 `size`: the nearest pixel, since a mean over an edge is a depth that is not there."""
    top, left, rows, columns = part
    cut = image[top : top + rows, left : left + columns]
    if cut.shape == size:
        return np.ascontiguousarray(cut)
    cv2 = load_cv2()
    return cv2.resize(cut, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
