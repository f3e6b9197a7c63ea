"""What the network that sees time learns of progress: films of demonstrations, forwards and rewound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.frames import SUCCESS
from rewards.gathering import EpisodeRows, RewardData
from rewards.windows import last_window, rewound_rows
from trajectories.types import Float32, Int64

_REWOUND, _FOREIGN, _FAILED = 0.35, 0.15, 0.15
"""Shares of a batch: rewound, under an instruction that the film doesn't show, of failures; the rest runs forwards."""
MOST_OF_A_FAILURE = 0.9
"""A failure never counts as further than this."""


@dataclass(frozen=True)
class Films:
    """N windows and how far the task has come in their newest frame.

    Attributes:
        rows: int64 (N, K), see `Windows`.
        goals: int64 (N,) under whose instruction they are looked at.
        progress: float32 (N,), 0 ... 1.
        at_most: bool (N,) whether `progress` is an upper bound only.
    """

    rows: Int64
    goals: Int64
    progress: Float32
    at_most: NDArray[np.bool_]


class FilmDraws:
    """Draws films from the episodes of some folds."""

    def __init__(self, data: RewardData, episodes: list[EpisodeRows], window: int) -> None:
        """Prepare the draws.

        Args:
            data: All goals.
            episodes: Those to draw from; looks at what was left are left out.
            window: K.
        """
        whole = [episode for episode in episodes if len(episode.film) and not episode.aftermath]
        self._successes = [episode for episode in whole if episode.outcome == "success"]
        self._failures = [episode for episode in whole if episode.outcome == "failure"]
        self._foreign = _elsewhere(data)
        self._window = window

    def __bool__(self) -> bool:
        """Whether there is any success to learn progress from."""
        return bool(self._successes)

    def draw(self, count: int, rng: np.random.Generator) -> Films:
        """So many films."""
        drawn = [self._one(rng) for _ in range(count)]
        rows, goals, progress, bounds = zip(*drawn, strict=True)
        return Films(np.stack(rows), np.array(goals), np.array(progress, np.float32), np.array(bounds))

    def _one(self, rng: np.random.Generator) -> tuple[Int64, int, float, bool]:
        kind = rng.random()
        if kind < _FAILED and self._failures:
            episode = self._failures[rng.integers(len(self._failures))]
            at = int(rng.integers(len(episode.film)))
            return last_window(episode.film[: at + 1], self._window), episode.goal, MOST_OF_A_FAILURE, True
        episode = self._successes[rng.integers(len(self._successes))]
        steps = progress_of(episode)
        at = int(rng.integers(len(steps)))
        if kind < _FAILED + _FOREIGN and self._foreign[episode.goal]:
            goal = int(rng.choice(self._foreign[episode.goal]))
            return last_window(episode.film[: at + 1], self._window), goal, 0.0, False
        if kind < _FAILED + _FOREIGN + _REWOUND and at > 0:
            back = int(rng.integers(1, at + 1))
            return rewound_rows(episode.film, at, back, self._window), episode.goal, float(steps[at - back]), False
        return last_window(episode.film[: at + 1], self._window), episode.goal, float(steps[at]), False


def _elsewhere(data: RewardData) -> list[list[int]]:
    """For each goal those of other tasks, but for those that share a wording with it."""
    found = []
    for (own, _), words in zip(data.goals, data.wordings, strict=True):
        goals = enumerate(zip(data.goals, data.wordings, strict=True))
        found.append([i for i, ((task, _), others) in goals if task != own and not set(words) & set(others)])
    return found


def progress_of(episode: EpisodeRows) -> Float32:
    """How far a success has come in each of its T + 1 frames: from 0 evenly to 1 in the first that surely shows it.

    Source: ReWiND (arXiv 2505.10911), equation 1, with the frame of success in place of the film's last one.
    """
    first = int(np.flatnonzero(episode.film_labels == SUCCESS)[0])
    return np.minimum(np.arange(len(episode.film_labels)) / max(first, 1), 1.0).astype(np.float32)
