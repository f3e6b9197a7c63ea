"""Unsupervised perceptual rewards from few demonstrations (arXiv 1612.06699).

1. Each demonstration is cut into `segments` steps, so that the frames of a step are alike (Algorithm 1): the mean
   over features of their standard deviation within a segment, summed over segments, is least. The paper searches
   recursively; this is the same optimum by dynamic programming.
2. For each step the `selected` features that tell its frames from those of other steps best are kept, by
   z = α |μ₊ - μ₋| - (σ₊ + σ₋) (α = 5 and 32 features).
3. A step's reward is the mean over its features of exp(-(s - μ₊)² / σ₊²), and the reward is the sum over the steps
   g = 2 ... n, weighted by 2^(g - 1).

Features are the input of the backbone's last block, all places, where the paper takes all layers of Inception. Failures
teach the threshold alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rewards.classifier import ImageFeatures
from rewards.config import DecisionConfig
from rewards.rivals.kind import RivalKind
from rewards.rivals.scorer import Lessons
from trajectories.errors import ConfigError
from trajectories.types import Float64, Int64

_LEAST_DEVIATION = 1e-3
"""Of a selected feature, in units of the backbone: few demonstrations may not vary in it at all."""


@dataclass(frozen=True)
class PerceptualConfig(DecisionConfig):
    """Settings of perceptual rewards.

    Attributes:
        segments: Steps that a demonstration is cut into.
        least_segment: Frames of the shortest step.
        selected: Features that are kept for each step.
        alpha: Weight of the difference of means in their choice.
    """

    segments: int = 3
    least_segment: int = 3
    selected: int = 32
    alpha: float = 5.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        super().__post_init__()
        self.require_positive("segments", "least_segment", "selected", "alpha")
        if self.segments < 2:
            raise ConfigError(f"reward.segments must be at least 2, got {self.segments}: the last one is the goal.")


def cut(frames: Float64, segments: int, least: int) -> list[int]:
    """Where a demonstration's segments begin: the cut with the least sum of mean standard deviations.

    Args:
        frames: (T, D) features in order of time.
        segments: How many, at least 1.
        least: Frames of the shortest one.

    Returns:
        First frame of each segment, the first one 0.

    Raises:
        ConfigError: When there are too few frames.
    """
    count = len(frames)
    if count < segments * least:
        raise ConfigError(
            f"A demonstration of {count} frames can't be cut into {segments} steps of at least {least} frames. Lower "
            "reward.segments or reward.least_segment."
        )
    cost = _deviations(np.asarray(frames, np.float64))
    best = np.full((segments + 1, count + 1), np.inf)
    begins = np.zeros((segments + 1, count + 1), np.int64)
    best[0, 0] = 0.0
    for number in range(1, segments + 1):
        for end in range(number * least, count + 1):
            starts = np.arange((number - 1) * least, end - least + 1)
            totals = best[number - 1, starts] + cost[starts, end]
            chosen = int(np.argmin(totals))
            best[number, end], begins[number, end] = totals[chosen], starts[chosen]
    found, end = [], count
    for number in range(segments, 0, -1):
        end = int(begins[number, end])
        found.append(end)
    return found[::-1]


def _deviations(frames: Float64) -> Float64:
    """(T, D) -> (T, T + 1): mean over features of the standard deviation of frames start ... end - 1."""
    count = len(frames)
    zero = np.zeros((1, frames.shape[1]))
    sums, squares = (np.concatenate([zero, np.cumsum(power, axis=0)]) for power in (frames, frames**2))
    out = np.full((count, count + 1), np.inf)
    for start in range(count):
        length = np.arange(1, count - start + 1)[:, None]
        mean = (sums[start + 1 :] - sums[start]) / length
        variance = (squares[start + 1 :] - squares[start]) / length - mean**2
        out[start, start + 1 :] = np.sqrt(np.maximum(variance, 0.0)).mean(axis=1)
    return out


@dataclass(frozen=True)
class Step:
    """A step of a task, by Gaussians of its most telling features.

    Attributes:
        features: int64 (M,) indices of the features.
        means: float32 (M,).
        deviations: float32 (M,).
    """

    features: Tensor
    means: Tensor
    deviations: Tensor

    def reward(self, frames: Tensor) -> Tensor:
        """(N, D) -> (N,), 0 ... 1."""
        return torch.exp(-(((frames[:, self.features] - self.means) / self.deviations) ** 2)).mean(dim=1)


def select(inside: Tensor, outside: Tensor, count: int, alpha: float) -> Step:
    """A step from its frames (N, D) and those of other steps (M, D): the features that tell them apart."""
    means, deviations = inside.mean(dim=0), inside.std(dim=0, correction=0)
    apart = (means - outside.mean(dim=0)).abs()
    telling = alpha * apart - (deviations + outside.std(dim=0, correction=0))
    chosen = telling.topk(min(count, len(telling))).indices
    return Step(chosen, means[chosen], deviations[chosen].clamp(min=_LEAST_DEVIATION))


@dataclass(frozen=True)
class StepRewards:
    """A `Scorer`: the weighted sum of the steps' rewards.

    Attributes:
        steps: Those of each goal from the second on, by the goal's index.
    """

    steps: Mapping[int, Sequence[Step]]

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Rewards float64 (N,)."""
        frames, scores = features.require_trunk().flatten(1), np.empty(len(goals))
        for goal in np.unique(goals):
            chosen = np.flatnonzero(goals == goal)
            mine = frames[torch.from_numpy(chosen).to(frames.device)]
            rewards = [2.0 ** (g - 1) * step.reward(mine) for g, step in enumerate(self.steps[int(goal)], start=2)]
            scores[chosen] = torch.stack(rewards).sum(dim=0).double().cpu().numpy()
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """Features, means and deviations, each name behind the indices of goal and step."""
        return {
            f"{goal}.{index}.{name}": value
            for goal, steps in self.steps.items()
            for index, step in enumerate(steps)
            for name, value in vars(step).items()
        }


class PerceptualKind(RivalKind[PerceptualConfig]):
    """Finds the steps of demonstrations and the features that show them."""

    name = "perceptual"
    defaults = PerceptualConfig()
    trunk = True

    def fit(self, lessons: Lessons, config: PerceptualConfig) -> StepRewards:
        """The steps of each goal's demonstrations.

        Raises:
            ConfigError: When a goal has none, or one is too short.
        """
        return StepRewards({goal: _steps(lessons, goal, config) for goal in lessons.goals})

    def restore(self, tensors: Mapping[str, Tensor], config: PerceptualConfig) -> StepRewards:
        """The same from its tensors."""
        goals = sorted({int(name.partition(".")[0]) for name in tensors})
        names = ("features", "means", "deviations")
        return StepRewards(
            {
                goal: [
                    Step(*(tensors[f"{goal}.{index}.{name}"] for name in names)) for index in range(config.segments - 1)
                ]
                for goal in goals
            }
        )


def _steps(lessons: Lessons, goal: int, config: PerceptualConfig) -> list[Step]:
    shown = [e for e in lessons.episodes if e.goal == goal and e.outcome == "success" and not e.aftermath]
    if not shown:
        task, direction = lessons.data.goals[goal]
        raise ConfigError(
            f"No demonstration shows {task!r} in the direction {direction!r}, or all are held out together. Record "
            "successes of both directions, at least one for each of reward.folds."
        )
    parts: list[list[Tensor]] = [[] for _ in range(config.segments)]
    for episode in shown:
        frames = lessons.features(episode.rows).require_trunk().flatten(1)
        begins = cut(frames.double().cpu().numpy(), config.segments, config.least_segment)
        for part, start, end in zip(parts, begins, [*begins[1:], len(frames)], strict=True):
            part.append(frames[start:end])
    frames_of = [torch.cat(part) for part in parts]
    return [
        select(
            frames_of[index],
            torch.cat([other for number, other in enumerate(frames_of) if number != index]),
            config.selected,
            config.alpha,
        )
        for index in range(1, config.segments)
    ]
