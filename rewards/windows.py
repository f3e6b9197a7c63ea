"""The last frames of an episode up to a frame: what a network that sees time looks at, made from cached embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajectories.types import Int64

NONE = -1
"""Row of a frame before the episode began."""


@dataclass(frozen=True)
class Windows:
    """N windows of K frames, the newest last.

    Attributes:
        images: Unit embeddings float32 (M, E) of all frames.
        proprio: float32 (M, P) of all frames; NaN where something wasn't measured.
        rows: int64 (N, K) of both; `NONE` before the episode began.
    """

    images: Tensor
    proprio: Tensor
    rows: Tensor

    def __getitem__(self, chosen: Tensor | NDArray[np.int64] | slice) -> Windows:
        """Some of the windows."""
        picked = torch.as_tensor(chosen) if isinstance(chosen, np.ndarray) else chosen
        return Windows(self.images, self.proprio, self.rows[picked])

    @property
    def there(self) -> Tensor:
        """Bool (N, K) where there is a frame."""
        return self.rows != NONE

    def frames(self) -> tuple[Tensor, Tensor]:
        """Embeddings (N, K, E) and proprioception (N, K, P); those of another frame where there is none."""
        rows = self.rows.clamp(min=0)
        return self.images[rows], self.proprio[rows]


def window_rows(rows: Int64, window: int) -> Int64:
    """Windows that end at each frame of an episode: int64 (T,) rows in order of time -> (T, K)."""
    padded = np.concatenate([np.full(window - 1, NONE, np.int64), rows])
    return np.lib.stride_tricks.sliding_window_view(padded, window).copy()


def rewound_rows(rows: Int64, turn: int, back: int, window: int) -> Int64:
    """The window (K,) of a film that runs up to frame `turn` and then back by `back` frames.

    Source: ReWiND (arXiv 2505.10911), section 3.2: a demonstration that is undone shows less progress with each frame.

    Args:
        rows: int64 (T,) of an episode's frames in order of time.
        turn: Index of the last frame that is shown forwards.
        back: Frames that it goes back, 1 ... `turn`.
        window: K.
    """
    return last_window(np.concatenate([rows[: turn + 1], rows[turn - back : turn][::-1]]), window)


def last_window(rows: Int64, window: int) -> Int64:
    """The window (K,) that ends at the last frame of (T,) rows in order of time."""
    return window_rows(rows[-window:], window)[-1]
