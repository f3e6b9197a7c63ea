"""A decision that needs several frames in a row, so that one odd frame does not end an episode."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trajectories.errors import ConfigError


class Debounce:
    """Says done once `frames` consecutive values reach the threshold, and again until it is reset."""

    def __init__(self, threshold: float, frames: int) -> None:
        """Threshold above 0, at least 1 frame.

        Raises:
            ConfigError: For others: with a threshold of 0 everything is done.
        """
        if frames < 1:
            raise ConfigError(f"Debouncing needs at least 1 frame, got {frames}.")
        if not threshold > 0.0:
            raise ConfigError(f"Debouncing needs a threshold above 0, got {threshold}: every frame would reach it.")
        self.threshold = threshold
        self.frames = frames
        self._run = 0

    def reset(self) -> None:
        """Forget all frames."""
        self._run = 0

    def update(self, value: float, counts: bool = True) -> bool:
        """Take the next frame's value, and whether the frame may count at all; returns whether the decision stands."""
        if self._run < self.frames:
            self._run = self._run + 1 if counts and value >= self.threshold else 0
        return self._run >= self.frames


def sustained(values: ArrayLike, frames: int) -> NDArray[np.float64]:
    """For each time the highest threshold at which the last `frames` values all pass: a running minimum.

    Args:
        values: (T,) in order of time.
        frames: Length of the window.

    Returns:
        float64 (T,); -inf while fewer than `frames` values have been seen.
    """
    series = np.asarray(values, dtype=np.float64)
    out = np.full(len(series), -np.inf)
    if len(series) >= frames:
        out[frames - 1 :] = np.lib.stride_tricks.sliding_window_view(series, frames).min(axis=1)
    return out


def first_done(values: ArrayLike, threshold: float, frames: int) -> int | None:
    """Index of the frame at which `Debounce` first says done, or None."""
    hits = np.flatnonzero(sustained(values, frames) >= threshold)
    return int(hits[0]) if len(hits) else None
