"""Fits how far a scene may be from the training data before the success classifier is unsure (`rewards.doubt`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rewards.config import RewardConfig
from rewards.doubt import DoubtRules, SceneDistance
from rewards.gathering import EpisodeRows, RewardData
from trajectories.types import Float64

RIDGE = 0.05
"""Added to the covariance's diagonal, as a share of its mean. Of 0.003 to 0.2, tried on relit, recoloured and moved
scenes of the twin, 0.05 found most: directions in which training hardly varies must not decide alone."""


def fit_doubt(data: RewardData, task: str, config: RewardConfig) -> DoubtRules:
    """Rules from the task's episodes; the limit is of episodes that the distance was not fitted to.

    For each part of the cross-validation the distance is fitted to all other parts, and each episode of the part scores
    the highest median of the frames so far that it reaches at any time. The limit is the conformal quantile of those
    scores, rank ceil((n + 1)(1 - rate)): the expected share of ordinary episodes that are ever called unlike the
    training data is at most the rate. With too few episodes for that it lies beyond the highest score, by half of what
    lies between that and their median.
    """
    mine = [episode for episode in data.episodes if data.goals[episode.goal][0] == task]
    if config.unsure_rate == 0.0:
        return DoubtRules(None, math.inf, config.unsure_spread, config.unsure_margin)
    scores: list[float] = []
    for fold in range(config.folds):
        rest = [episode for episode in mine if episode.fold != fold]
        distance = fit_distance(_embeddings(data, rest))
        scores += [
            float(medians_so_far(distance(_embeddings(data, [episode])))[config.frames - 1 :].max())
            for episode in mine
            if episode.fold == fold and not episode.aftermath and len(episode.rows) >= config.frames
        ]
    limit = _limit(scores, config.unsure_rate)
    return DoubtRules(fit_distance(_embeddings(data, mine)), limit, config.unsure_spread, config.unsure_margin)


def fit_distance(embeddings: Tensor) -> SceneDistance:
    """The distance from unit embeddings (N, E), N of 2 or more."""
    values = embeddings.double()
    covariance = torch.cov(values.T)
    width = len(covariance)
    ridge = RIDGE * float(covariance.trace()) / width + 1e-12
    precision = torch.linalg.inv(covariance + ridge * torch.eye(width, dtype=torch.float64))
    return SceneDistance(values.mean(dim=0).float(), precision.float().contiguous())


def medians_so_far(values: Sequence[float] | Float64) -> Float64:
    """Of a series (T,), the median of its first 1, 2, ... T values: float64 (T,)."""
    return np.array([np.median(values[: end + 1]) for end in range(len(values))])


def _embeddings(data: RewardData, episodes: Sequence[EpisodeRows]) -> Tensor:
    rows = torch.from_numpy(np.concatenate([episode.rows for episode in episodes]))
    return data.features.pooled[rows.to(data.features.pooled.device)].cpu()


def _limit(scores: Sequence[float], rate: float) -> float:
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(ordered) + 1) * (1.0 - rate) - 1e-9)
    if rank > len(ordered):
        return float(ordered[-1] + (ordered[-1] - np.median(ordered)) / 2)
    return float(ordered[rank - 1])
