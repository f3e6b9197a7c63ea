"""The tanh-Gaussian: samples, log-probabilities and divergences as pure functions of mean and log std.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (arXiv 1812.05905), appendix C. The
correction log(1 - tanh(u)^2) is computed as 2 (log 2 - u - softplus(-2 u)), which is exact for large |u|.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions and their log-probabilities, by reparameterisation.

    Args:
        mean: (..., A) before the tanh.
        log_std: (..., A).
        noise: (..., A) standard normal; its shape may have more leading axes than the mean's broadcast to.

    Returns:
        Actions (..., A) in (-1, 1) and log-probabilities (...), summed over A.
    """
    before = mean + log_std.exp() * noise
    gaussian = -0.5 * noise.square() - log_std - _HALF_LOG_TAU
    return torch.tanh(before), (gaussian - log_tanh_slope(before)).sum(-1)


def log_prob(mean: Tensor, log_std: Tensor, action: Tensor, limit: float) -> Tensor:
    """Log-probability (...) of actions (..., A), clipped to +-limit first (atanh(1) is infinite)."""
    before = torch.atanh(action.clamp(-limit, limit))
    noise = (before - mean) * torch.exp(-log_std)
    gaussian = -0.5 * noise.square() - log_std - _HALF_LOG_TAU
    return (gaussian - log_tanh_slope(before)).sum(-1)


def log_tanh_slope(before: Tensor) -> Tensor:
    """log(d tanh(u) / du) elementwise."""
    return 2.0 * (math.log(2.0) - before - F.softplus(-2.0 * before))


def kl(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """KL(first || other) in nats (...), summed over A; the tanh is a bijection and leaves it unchanged."""
    ratio = 2.0 * (log_std - other_log_std)
    distance = ((mean - other_mean) * torch.exp(-other_log_std)).square()
    return 0.5 * (ratio.exp() + distance - 1.0 - ratio).sum(-1)
