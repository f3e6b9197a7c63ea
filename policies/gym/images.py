"""Which observations are images, and how each kind becomes RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from trajectories.errors import ConfigError
from trajectories.types import UInt8

_CHANNELS = (1, 3)


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a part of an observation is an image: bytes of two axes or more."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) >= 2


def require_rgb(shape: tuple[int, ...], where: str) -> None:
    """Refuse images that are neither grey nor RGB.

    Args:
        shape: Of one image.
        where: For messages.

    Raises:
        ConfigError: It has other channels.
    """
    if len(shape) > 3 or (len(shape) == 3 and shape[2] not in _CHANNELS and shape[0] not in _CHANNELS):
        raise ConfigError(
            f"{where}: an image of shape {shape} is neither grey nor RGB; expected (H, W), (H, W, 1), (H, W, 3), "
            "(1, H, W) or (3, H, W). Frames that are stacked along the channels have to be observations of their own."
        )


def as_rgb(image: NDArray[Any], axes: int | None = None) -> UInt8:
    """Grey or RGB images of any order of axes as uint8 (..., H, W, 3).

    Args:
        image: (..., H, W), (..., H, W, C) or (..., C, H, W) with C of 1 or 3.
        axes: Of one image, 2 or 3; None where there is one.
    """
    image = np.asarray(image, np.uint8)
    if (image.ndim if axes is None else axes) == 2:
        image = image[..., None]
    elif image.shape[-1] not in _CHANNELS:
        image = np.moveaxis(image, -3, -1)
    return image if image.shape[-1] == 3 else np.repeat(image, 3, -1)
