"""Policies as distributions over actions: pure functions of the actor's output, a mean before the tanh and a log std.

tanh_gaussian   tanh(N(mean, std)): Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (arXiv
                1812.05905), appendix C. The correction log(1 - tanh(u)^2) is computed as
                2 (log 2 - u - softplus(-2 u)), which is exact for large |u|.
gaussian        N(tanh(mean), std), clipped to [-1, 1] when it acts: the policy of IQL's and AWAC's references
deterministic   tanh(mean); std is that of the noise that it explores with, and nothing else

The most likely action is tanh(mean) for all of them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from policies.agent.network_config import PolicyKind

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def act(kind: PolicyKind, mean: Tensor, log_std: Tensor, noise: Tensor | None) -> Tensor:
    """Actions in [-1, 1] for the robot.

    Args:
        kind: Of the policy.
        mean: (..., A) before the tanh.
        log_std: (..., A).
        noise: (..., A) standard normal, or None for the most likely action.
    """
    if noise is None:
        return torch.tanh(mean)
    if kind == "tanh_gaussian":
        return torch.tanh(mean + log_std.exp() * noise)
    return (torch.tanh(mean) + log_std.exp() * noise).clamp(-1.0, 1.0)


def draw(kind: PolicyKind, mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions of the policy for an update, and their log-probabilities, by reparameterisation.

    Args:
        kind: Of the policy; the deterministic one gives its only action, whatever the noise.
        mean: (..., A) before the tanh.
        log_std: (..., A).
        noise: (..., A) standard normal; its shape may have more leading axes than the mean's broadcast to.

    Returns:
        Actions (..., A) in [-1, 1], and log-probabilities (...) summed over A: of a Gaussian's action before it was
        clipped; 0 for the deterministic policy.
    """
    if kind == "tanh_gaussian":
        return sample(mean, log_std, noise)
    if kind == "deterministic":
        action = torch.tanh(mean).expand_as(noise)
        return action, action.new_zeros(action.shape[:-1])
    gaussian = -0.5 * noise.square() - log_std - _HALF_LOG_TAU
    return act(kind, mean, log_std, noise), gaussian.sum(-1)


def smoothed(mean: Tensor, noise: Tensor, std: float, clip: float) -> Tensor:
    """Actions of a deterministic policy with clipped noise, the target policy smoothing of TD3.

    clip(tanh(mean) + clip(std noise, -c, c), -1, 1), Fujimoto et al., arXiv 1802.09477, eq. 14.

    Args:
        mean: (..., A) before the tanh.
        noise: (..., A) standard normal, with leading axes like those of `draw`.
        std: Of the noise.
        clip: c.
    """
    return (torch.tanh(mean) + (std * noise).clamp(-clip, clip)).clamp(-1.0, 1.0)


def log_density(kind: PolicyKind, mean: Tensor, log_std: Tensor, action: Tensor, limit: float) -> Tensor:
    """Log-probability (...) of given actions (..., A), clipped to +-limit first where there is a tanh.

    For the deterministic policy that of a Gaussian with the spread of its exploration.
    """
    if kind == "tanh_gaussian":
        return log_prob(mean, log_std, action, limit)
    noise = (action - torch.tanh(mean)) * torch.exp(-log_std)
    return (-0.5 * noise.square() - log_std - _HALF_LOG_TAU).sum(-1)


def divergence(kind: PolicyKind, mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """KL(first || other) in nats (...), summed over A.

    A tanh is a bijection and leaves it unchanged; the clipping of a Gaussian is left out. Deterministic policies count
    as Gaussians with the spread of their exploration: their squared distance over twice its variance.
    """
    if kind == "tanh_gaussian":
        return kl(mean, log_std, other_mean, other_log_std)
    return kl(torch.tanh(mean), log_std, torch.tanh(other_mean), other_log_std)


def sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions of the tanh-Gaussian and their log-probabilities, by reparameterisation.

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
    """Log-probability (...) under the tanh-Gaussian of actions (..., A), clipped to +-limit first.

    Without the clip, atanh(1) is infinite.
    """
    before = torch.atanh(action.clamp(-limit, limit))
    noise = (before - mean) * torch.exp(-log_std)
    gaussian = -0.5 * noise.square() - log_std - _HALF_LOG_TAU
    return (gaussian - log_tanh_slope(before)).sum(-1)


def log_tanh_slope(before: Tensor) -> Tensor:
    """log(d tanh(u) / du) elementwise."""
    return 2.0 * (math.log(2.0) - before - F.softplus(-2.0 * before))


def kl(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """KL(first || other) of two Gaussians with diagonal covariance, in nats (...), summed over A."""
    ratio = 2.0 * (log_std - other_log_std)
    distance = ((mean - other_mean) * torch.exp(-other_log_std)).square()
    return 0.5 * (ratio.exp() + distance - 1.0 - ratio).sum(-1)
