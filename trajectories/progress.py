"""How far a task had come in each observation of an episode, as its reward model saw it: a note of the episode's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajectories.errors import InvalidEpisodeError
from trajectories.types import Float32

_KEY = "progress"
_DIGITS = 4


def noted_progress(progress: Sequence[float | None]) -> dict[str, Any]:
    """Metadata of an episode from the progress (T + 1) of its observations, 0 ... 1; nothing where none is known."""
    if all(value is None for value in progress):
        return {}
    return {_KEY: [None if value is None else round(float(value), _DIGITS) for value in progress]}


def progress_of(metadata: Mapping[str, Any], length: int, id: str) -> Float32 | None:
    """Progress float32 (T + 1,) of an episode's observations, NaN where it isn't known; None where none was noted.

    Args:
        metadata: Of the episode.
        length: Its number of steps T.
        id: Its id, for the message.

    Raises:
        InvalidEpisodeError: The note isn't one number an observation, 0 ... 1.
    """
    noted = metadata.get(_KEY)
    if noted is None:
        return None
    values = _numbers(noted)
    if values is None or len(values) != length + 1:
        raise InvalidEpisodeError(
            f"The metadata of episode {id} has progress={noted!r:.80}; expected {length + 1} numbers "
            "from 0 to 1, or null for what isn't known."
        )
    return values


def _numbers(noted: Any) -> Float32 | None:
    if not isinstance(noted, list) or not all(isinstance(value, int | float | None) for value in noted):
        return None
    values = np.array([np.nan if value is None else value for value in noted], np.float32)
    known = values[~np.isnan(values)]
    return values if ((known >= 0.0) & (known <= 1.0)).all() else None
