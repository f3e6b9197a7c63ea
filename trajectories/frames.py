"""Camera images brought to the shape and size that another robot's camera has."""

from __future__ import annotations

import numpy as np
from PIL import Image

from trajectories.types import UInt8


def fit_frames(frames: UInt8, size: tuple[int, int]) -> UInt8:
    """Cut the largest window of the wanted shape out of the middle and bring it to the wanted size.

    A smaller image has in each pixel the mean of the area that it covers, a larger one is interpolated linearly.

    Args:
        frames: uint8 (N, H, W, 3).
        size: (height, width) that is wanted.

    Returns:
        uint8 (N, *size, 3): `frames` itself where they have this size.
    """
    height, width = frames.shape[1:3]
    if (height, width) == size:
        return frames
    scale = min(height / size[0], width / size[1])
    rows, columns = min(height, round(size[0] * scale)), min(width, round(size[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    box = (left, top, left + columns, top + rows)
    method = Image.Resampling.BOX if scale >= 1.0 else Image.Resampling.BILINEAR
    fitted = np.empty((len(frames), *size, 3), np.uint8)
    for row, frame in zip(fitted, frames, strict=True):
        row[:] = np.asarray(Image.fromarray(frame).resize((size[1], size[0]), method, box=box))
    return fitted
