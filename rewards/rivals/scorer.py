"""What a rival is: a score of frames, learned from labelled frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rewards.classifier import ImageFeatures
from rewards.gathering import EpisodeRows, RewardData
from rewards.pairs import Pairs
from trajectories.types import Float64, Int64

Network = TypeVar("Network", bound=nn.Module)
_LEAST_SPREAD = 1e-9
_CHUNK = 512


class Scorer(Protocol):
    """Says how done a goal looks in a frame; higher is more done, on any scale."""

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Scores float64 (N,) of N frames for N goals."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything that it learned, by name."""
        ...


@dataclass(frozen=True)
class Lessons:
    """What a scorer learns from.

    Attributes:
        data: All episodes and their frames.
        pairs: Frames and goals with known labels, of the episodes that may be learned from.
        without: Parts of the cross-validation that it must not learn from.
    """

    data: RewardData
    pairs: Pairs
    without: frozenset[int]

    @property
    def episodes(self) -> list[EpisodeRows]:
        """The episodes that may be learned from."""
        return [episode for episode in self.data.episodes if episode.fold not in self.without]

    @property
    def goals(self) -> range:
        """Indices of the goals."""
        return range(len(self.data.goals))

    def rows(self, goal: int, label: bool) -> Int64:
        """Rows of the features that show a goal done, or not done: (n,)."""
        return self.pairs.rows[(self.pairs.goals == goal) & (self.pairs.labels == label)]

    def features(self, rows: Int64) -> ImageFeatures:
        """Features of these rows."""
        return self.data.features[torch.from_numpy(rows).to(self.data.features.pooled.device)]


@torch.no_grad()
def score_rows(scorer: Scorer | Standardised, features: ImageFeatures, rows: Int64, goals: Int64) -> Float64:
    """Scores float64 (N,) of rows (N,) of the features for goals (N,), some at a time: features may be large."""
    device, parts = features.pooled.device, [np.zeros(0)]
    for start in range(0, len(rows), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        parts.append(scorer.score(features[torch.from_numpy(rows[chosen]).to(device)], goals[chosen]))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Standardised:
    """A scorer on a scale of its own: mean 0 and standard deviation 1 over the frames that it learned from.

    Platt scaling starts from a scale of 1 (`rewards.calibration.fit_calibration`), whatever the scorer's unit.

    Attributes:
        scorer: Gives the scores.
        centre: Their mean.
        spread: Their standard deviation.
    """

    scorer: Scorer
    centre: float
    spread: float

    @staticmethod
    def over(scorer: Scorer, lessons: Lessons) -> Standardised:
        """The scorer on the scale of the frames that it learned from."""
        scores = score_rows(scorer, lessons.data.features, lessons.pairs.rows, lessons.pairs.goals)
        return Standardised(scorer, float(scores.mean()), max(float(scores.std()), _LEAST_SPREAD))

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Standardised scores float64 (N,)."""
        standardised: Float64 = (np.asarray(self.scorer.score(features, goals)) - self.centre) / self.spread
        return standardised


def minimised(network: Network, loss: Callable[[], Tensor], steps: int, learning_rate: float) -> Network:
    """The network after so many steps of Adam on a loss that draws its own batch, in evaluation mode."""
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)
