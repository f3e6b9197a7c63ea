"""Statistics of columns and cameras as lerobot's training reads them, by episode and of all episodes.

Of vectors they are (D,), of numbers (1,), of cameras (3, 1, 1) of pixels in 0 ... 1 (depth: (1, 1, 1) in its own unit).
Quantiles of several episodes together are the outermost of theirs, which is how lerobot joins them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import FrameSource

Statistics = dict[str, NDArray[Any]]
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_FEWEST, _POWER = 100, 0.75
_LARGE, _SMALL = 300, 150
"""Pixels: frames that are wider or higher than the first are looked at in steps that leave about the second."""


def column_statistics(column: NDArray[Any], quantiles: bool = True) -> Statistics:
    """Of a column (T,) or (T, ...) of numbers."""
    values = column.astype(np.float64).reshape(len(column), -1) if column.ndim == 1 else column.astype(np.float64)
    return _statistics(values, len(column), quantiles)


def camera_samples(count: int) -> list[int]:
    """Numbers of the frames that are looked at, spread evenly over `count`."""
    samples = max(min(_FEWEST, count), int(count**_POWER))
    return np.linspace(0, count - 1, samples).round().astype(int).tolist()


def camera_statistics(frames: FrameSource, quantiles: bool = True, three: bool = False) -> Statistics:
    """Of a camera's frames, some of which are looked at.

    Args:
        frames: Of one episode.
        quantiles: Whether they are among the statistics; v2.1 has none.
        three: Say those of depth three times, (3, 1, 1): lerobot refuses a data set of v2.1 that doesn't.
    """
    chosen = camera_samples(frames.shape[0])
    pixels = frames.read(chosen)
    height, width = pixels.shape[1:3]
    step = 1 if max(height, width) < _LARGE else max(height, width) // _SMALL
    values = pixels[:, ::step, ::step].reshape(-1, pixels.shape[3] if pixels.ndim == 4 else 1)
    scale = 1.0 if frames.dtype == np.uint16 else 255.0
    found = _statistics(values, len(chosen), quantiles)
    times = 3 if three and frames.dtype == np.uint16 else 1
    return {name: v if name == "count" else np.tile(v / scale, times)[:, None, None] for name, v in found.items()}


def join_statistics(episodes: Sequence[Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Of all episodes, from those of each: key -> statistics."""
    return {key: _join([episode[key] for episode in episodes]) for key in episodes[0]}


def _statistics(values: NDArray[Any], count: int, quantiles: bool) -> Statistics:
    found = {
        "min": values.min(0),
        "max": values.max(0),
        "mean": values.mean(0, dtype=np.float64),
        "std": values.std(0, dtype=np.float64),
        "count": np.array([count], np.int64),
    }
    if quantiles:
        found |= dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values()), axis=0), strict=True))
    return {name: value if name == "count" else value.astype(np.float64) for name, value in found.items()}


def _join(parts: Sequence[Statistics]) -> Statistics:
    counts = np.array([part["count"][0] for part in parts], np.float64)
    shares = counts / counts.sum()
    means = np.stack([part["mean"] for part in parts])
    mean = np.tensordot(shares, means, 1)
    variances = np.stack([part["std"] ** 2 for part in parts]) + (means - mean) ** 2
    joined = {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(np.tensordot(shares, variances, 1)),
        "count": np.array([counts.sum()], np.int64),
    }
    for name, part in QUANTILES.items():
        if name in parts[0]:
            outermost = np.min if part <= 0.5 else np.max
            joined[name] = outermost([statistics[name] for statistics in parts], axis=0)
    return joined
