"""`LabelDescent`: gradient steps on labels in hindsight, and the light and colour that training images are given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.common.optimiser_state import load_optimiser, optimiser_tensors
from policies.perception.keypoint_config import KeypointConfig
from trajectories.types import Float64

_LARGEST_GRADIENT = 1.0


class LabelDescent:
    """AdamW on the smooth L1 of normalised labels where the mask is one, by a rate that warms up and falls to 0."""

    def __init__(self, parameters: Sequence[nn.Parameter], config: KeypointConfig) -> None:
        """Of these parameters, which are changed in place."""
        self._parameters, self._config = parameters, config
        self._optimiser = torch.optim.AdamW(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def step(self, normal: Tensor, target: Tensor, mask: Tensor, done: int) -> Tensor:
        """One gradient step; returns its loss, a scalar without gradient.

        Args:
            normal: float32 (N, 8) predicted about zero mean and unit deviation.
            target: float32 (N, 8) labels, likewise.
            mask: float32 (N, 8).
            done: Steps before this one.
        """
        error = functional.smooth_l1_loss(normal, target, reduction="none", beta=0.1)
        loss = (error * mask).sum() / mask.sum().clamp(min=1.0)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, _LARGEST_GRADIENT)
        rate = self._config.learning_rate * learning_rate_factor(done, self._config.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        return loss.detach()

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The moments, under this prefix."""
        return optimiser_tensors(self._optimiser, prefix)

    def load(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Inverse of `tensors`."""
        load_optimiser(self._optimiser, dict(tensors), prefix)


def learning_rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate at a step: a short linear warm-up times a cosine that ends at 0."""
    warm = max(1, steps // 20)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def gains(config: KeypointConfig, count: int, rng: np.random.Generator) -> Float64:
    """Factors of each channel of `count` images, drawn by the settings' brightness and colour: float64 (count, 3)."""
    light = 1.0 + rng.uniform(-config.brightness, config.brightness, (count, 1))
    return light * (1.0 + rng.uniform(-config.colour, config.colour, (count, 3)))
