"""Preferences: a reward learned from pairs of frames of which one is better.

RL-VLM-F (arXiv 2402.03681): a reward network r on pictures is fitted to labels of pairs by the Bradley-Terry model,
P(b better than a) = exp r(b) / (exp r(a) + exp r(b)), with cross-entropy; pairs without a difference are left out, and
three networks are averaged. Labels come from known outcomes and the progress of demonstrations, from a file of pairs
that a person labelled, or one that a generative model did (`regrasp label pairs=N`).

The values are those of the paper's code (`reward_model.py`): three networks, three hidden layers of 256 with leaky
ReLU, Adam with 3e-4, batches of 128. The networks see the frozen backbone's embedding, where the paper trains a
convolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rewards.classifier import ImageFeatures
from rewards.config import DecisionConfig
from rewards.rivals.goal_pictures import require_shown
from rewards.rivals.kind import RivalKind
from rewards.rivals.preference_pairs import pairs_of_file, pairs_of_outcomes, read_pairs
from rewards.rivals.scorer import Lessons, minimised
from trajectories.errors import ConfigError
from trajectories.types import Float64, Int64


@dataclass(frozen=True)
class PreferencesConfig(DecisionConfig):
    """Settings of preferences.

    Attributes:
        pairs_file: File of labelled pairs, a line of JSON each; None for pairs drawn from outcomes and progress.
        pairs: How many of these are drawn for each goal.
        members: Networks whose mean counts.
        layers: Hidden layers of each.
        hidden: Their width.
        steps: Optimiser steps.
        batch: Pairs a step.
        learning_rate: Adam's step size.
    """

    pairs_file: str | None = None
    pairs: int = 2000
    members: int = 3
    layers: int = 3
    hidden: int = 256
    steps: int = 300
    batch: int = 128
    learning_rate: float = 3e-4

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        super().__post_init__()
        self.require_positive("pairs", "members", "layers", "hidden", "steps", "batch", "learning_rate")


class RewardNetwork(nn.Module):
    """Reward of a frame from its unit embedding."""

    def __init__(self, width: int, config: PreferencesConfig) -> None:
        super().__init__()
        self.scale = width**0.5
        sizes = [width, *[config.hidden] * config.layers]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU()]
        self.body = nn.Sequential(*layers, nn.Linear(config.hidden, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, E) -> rewards (N,)."""
        out: Tensor = self.body(self.scale * frames).squeeze(1)
        return out


def preference_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels by the Bradley-Terry model, of rewards (N,) and (N,)."""
    return -functional.logsigmoid(better - worse).mean()


@dataclass(frozen=True)
class Rewards:
    """A `Scorer`: the mean of the networks' rewards.

    Attributes:
        networks: Of each goal, by its index, in evaluation mode.
    """

    networks: Mapping[int, tuple[RewardNetwork, ...]]

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Rewards float64 (N,)."""
        scores = np.empty(len(goals))
        for goal in np.unique(goals):
            chosen = np.flatnonzero(goals == goal)
            frames = features.pooled[torch.from_numpy(chosen).to(features.pooled.device)]
            rewards = torch.stack([network(frames) for network in self.networks[int(goal)]]).mean(dim=0)
            scores[chosen] = rewards.detach().double().cpu().numpy()
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """Their states, each name behind the indices of goal and network."""
        return {
            f"{goal}.{index}.{name}": value
            for goal, networks in self.networks.items()
            for index, network in enumerate(networks)
            for name, value in network.state_dict().items()
        }


class PreferencesKind(RivalKind[PreferencesConfig]):
    """Fits reward networks to labelled pairs."""

    name = "preferences"
    defaults = PreferencesConfig()

    def fit(self, lessons: Lessons, config: PreferencesConfig) -> Rewards:
        """Train on pairs of each goal.

        Raises:
            ConfigError: When there are none.
        """
        return Rewards({goal: self._networks(lessons, goal, config) for goal in lessons.goals})

    def restore(self, tensors: Mapping[str, Tensor], config: PreferencesConfig) -> Rewards:
        """The same from their states."""
        found: dict[int, tuple[RewardNetwork, ...]] = {}
        for goal in sorted({int(name.partition(".")[0]) for name in tensors}):
            networks = []
            for index in range(config.members):
                prefix = f"{goal}.{index}."
                own = {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
                network = RewardNetwork(own["body.0.weight"].shape[1], config)
                network.load_state_dict(own, strict=True)
                networks.append(network.to(own["body.0.weight"].device).eval().requires_grad_(False))
            found[goal] = tuple(networks)
        return Rewards(found)

    def _networks(self, lessons: Lessons, goal: int, config: PreferencesConfig) -> tuple[RewardNetwork, ...]:
        rng = np.random.default_rng([config.seed, goal])
        if config.pairs_file is not None:
            better, worse = pairs_of_file(lessons, read_pairs(Path(config.pairs_file)), goal)
        else:
            require_shown(lessons, goal)
            better, worse = pairs_of_outcomes(lessons, goal, config.pairs, rng)
        if not len(better):
            task, direction = lessons.data.goals[goal]
            raise ConfigError(
                f"No labelled pair is of {task!r} in the direction {direction!r} with a difference, or all are held "
                "out together. Label pairs of both directions, of as many episodes as there are."
            )
        return tuple(_trained(lessons, better, worse, config, config.seed + member) for member in range(config.members))


def _trained(lessons: Lessons, better: Int64, worse: Int64, config: PreferencesConfig, seed: int) -> RewardNetwork:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pooled = lessons.data.features.pooled
    network = RewardNetwork(pooled.shape[1], config).to(pooled.device)

    def loss() -> Tensor:
        drawn = rng.integers(len(better), size=config.batch)
        rewards = network(lessons.features(np.concatenate([better[drawn], worse[drawn]])).pooled)
        return preference_loss(rewards[: config.batch], rewards[config.batch :])

    return minimised(network, loss, config.steps, config.learning_rate)
