"""VICE: a discriminator of goal frames against all frames that are no goal.

VICE (arXiv 1805.11686, section 4) learns p(goal | frame) from examples of the goal and from what the policy visits;
MEDAL++ (arXiv 2303.01488, section IV-B) takes it from pixels with balanced batches, mixup and spectral normalisation.
The values are those of MEDAL++'s code (`cfgs/medalplusplus.yaml`, `VICEAgent`): a layer of 50 with layer norm and
tanh, mixup behind it with Beta(1, 1), a hidden layer of 128, Adam with 3e-4, 512 goal frames and as many others a
step. Two things differ. The frames' embedding is the
backbone's instead of a convolution trained here. And the negatives are frames of recorded episodes: failures, and
successes before their end; the published negatives are the policy's own, successes among them, of a running session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from rewards.classifier import ImageFeatures
from rewards.config import DecisionConfig
from rewards.rivals.goal_pictures import require_shown
from rewards.rivals.kind import RivalKind
from rewards.rivals.scorer import Lessons, minimised
from trajectories.errors import ConfigError
from trajectories.types import Float64, Int64


@dataclass(frozen=True)
class ViceConfig(DecisionConfig):
    """Settings of VICE.

    Attributes:
        steps: Optimiser steps. MEDAL++ takes one per 1000 steps of the robot, for as long as a session lasts.
        batch: Goal frames a step, and as many others.
        learning_rate: Adam's step size.
        features: Width of the first layer.
        hidden: Width of the second one.
        mixup: Whether frames and labels are mixed in pairs.
        spectral_norm: Whether the layers' largest singular values are held at 1.
    """

    steps: int = 300
    batch: int = 512
    learning_rate: float = 3e-4
    features: int = 50
    hidden: int = 128
    mixup: bool = True
    spectral_norm: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        super().__post_init__()
        self.require_positive("steps", "batch", "learning_rate", "features", "hidden")


class Discriminator(nn.Module):
    """Logit that a frame is a goal frame, from its unit embedding."""

    def __init__(self, width: int, config: ViceConfig) -> None:
        super().__init__()

        def linear(inputs: int, outputs: int) -> nn.Module:
            layer = nn.Linear(inputs, outputs)
            return spectral_norm(layer) if config.spectral_norm else layer

        self.scale = width**0.5
        self.trunk = nn.Sequential(linear(width, config.features), nn.LayerNorm(config.features), nn.Tanh())
        self.head = nn.Sequential(linear(config.features, config.hidden), nn.ReLU(), linear(config.hidden, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, E) -> logits (N,)."""
        return self.logits(self.trunk(self.scale * frames))

    def logits(self, features: Tensor) -> Tensor:
        """What the trunk gave, mixed or not, to logits (N,)."""
        out: Tensor = self.head(features).squeeze(1)
        return out


def discriminator_loss(model: Discriminator, goals: Tensor, others: Tensor, mixup: bool) -> Tensor:
    """Binary cross-entropy of a balanced batch, mixed in pairs behind the trunk.

    Args:
        model: The discriminator.
        goals: Unit embeddings (N, E) of goal frames.
        others: Unit embeddings (N, E) of others.
        mixup: Whether to mix (arXiv 1710.09412, eq. 1 and 2, α = 1).
    """
    frames = model.trunk(model.scale * torch.cat([goals, others]))
    labels = torch.cat([torch.ones(len(goals)), torch.zeros(len(others))]).to(frames)
    if mixup:
        share, order = torch.rand(len(frames)).to(frames), torch.randperm(len(frames)).to(frames.device)
        frames = share[:, None] * frames + (1 - share[:, None]) * frames[order]
        labels = share * labels + (1 - share) * labels[order]
    return functional.binary_cross_entropy_with_logits(model.logits(frames), labels)


@dataclass(frozen=True)
class Discriminators:
    """A `Scorer`: the discriminator's logit.

    Attributes:
        models: By the goal's index, in evaluation mode.
    """

    models: Mapping[int, Discriminator]

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Logits float64 (N,)."""
        scores = np.empty(len(goals))
        for goal in np.unique(goals):
            chosen = np.flatnonzero(goals == goal)
            frames = features.pooled[torch.from_numpy(chosen).to(features.pooled.device)]
            scores[chosen] = self.models[int(goal)](frames).detach().double().cpu().numpy()
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """Their states, each name behind the goal's index."""
        return {f"{goal}.{name}": value for goal, model in self.models.items() for name, value in _state(model)}


class ViceKind(RivalKind[ViceConfig]):
    """Trains a discriminator for each goal."""

    name = "vice"
    defaults = ViceConfig()

    def fit(self, lessons: Lessons, config: ViceConfig) -> Discriminators:
        """Train on goal frames against all others.

        Raises:
            ConfigError: When a goal has no frame that shows it done, or none that doesn't.
        """
        models = {}
        for goal in lessons.goals:
            shown, others = require_shown(lessons, goal), lessons.rows(goal, False)
            if not len(others):
                raise ConfigError("VICE needs frames in which the goal is not reached; record longer demonstrations.")
            models[goal] = _trained(lessons, shown, others, config, config.seed + goal)
        return Discriminators(models)

    def restore(self, tensors: Mapping[str, Tensor], config: ViceConfig) -> Discriminators:
        """The same from their states."""
        models = {}
        for goal in sorted({int(name.partition(".")[0]) for name in tensors}):
            own = {n.partition(".")[2]: value for n, value in tensors.items() if n.startswith(f"{goal}.")}
            width = int(own.pop("width"))
            model = Discriminator(width, config)
            model.load_state_dict(own, strict=True)
            models[goal] = model.to(next(iter(own.values())).device).eval().requires_grad_(False)
        return Discriminators(models)


def _state(model: Discriminator) -> list[tuple[str, Tensor]]:
    width = torch.tensor(round(model.scale**2))
    return [("width", width), *model.state_dict().items()]


def _trained(lessons: Lessons, shown: Int64, others: Int64, config: ViceConfig, seed: int) -> Discriminator:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pooled = lessons.data.features.pooled
    model = Discriminator(pooled.shape[1], config).to(pooled.device)

    def loss() -> Tensor:
        goals, rest = (lessons.features(rng.choice(rows, config.batch)).pooled for rows in (shown, others))
        return discriminator_loss(model, goals, rest, config.mixup)

    return minimised(model, loss, config.steps, config.learning_rate)
