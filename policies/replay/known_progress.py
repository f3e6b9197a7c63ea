"""The progress that a judge noted in an episode, for what needs it in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trajectories.errors import ConfigError
from trajectories.progress import progress_of
from trajectories.types import Float32


def known_progress(metadata: Mapping[str, Any], steps: int, id: str, needed_by: str) -> Float32:
    """Progress float32 (T + 1,) of an episode's observations, 0 ... 1.

    An observation whose progress isn't known has that of the one before it, 0 at the beginning.

    Args:
        metadata: Of the episode.
        steps: T.
        id: Its id, for messages.
        needed_by: Key of the setting that needs it, for messages.

    Raises:
        ConfigError: No progress was noted.
        InvalidEpisodeError: See `trajectories.progress.progress_of`.
    """
    progress = progress_of(metadata, steps, id)
    if progress is None:
        raise ConfigError(
            f"Episode {id} says nothing of progress, which {needed_by} needs. Train a judge that sees time "
            f"(`regrasp train-reward reward.window=8`), or give {needed_by}=0."
        )
    filled, last = progress.copy(), 0.0
    for t, value in enumerate(progress):
        last = last if np.isnan(value) else float(value)
        filled[t] = last
    return filled


def gained(metadata: Mapping[str, Any], steps: int, id: str) -> Float32:
    """What each step gained in progress, float32 (T,), 0 where it lost some; arguments and errors as there."""
    return np.maximum(np.diff(known_progress(metadata, steps, id, "finetune.progress_weight")), 0.0)
