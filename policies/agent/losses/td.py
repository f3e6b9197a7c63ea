"""Temporal-difference targets and loss of the critic ensemble."""

from __future__ import annotations

import torch
from torch import Tensor


def next_value(values: Tensor, log_prob: Tensor, temperature: Tensor | None) -> Tensor:
    """Value of the next state from M sampled actions.

    V = Q_min(a*) - alpha log pi(a*), Q_min the minimum over the target critics drawn for this update (REDQ,
    Chen et al., arXiv 2101.05982, eq. 1), a* the sample with the largest Q_min ("max-target backup", Kumar et
    al., arXiv 2006.04779, appendix F; M = 1: the plain backup). The entropy term only with "entropy backup".

    Args:
        values: (N, B, M) target values of the drawn critics.
        log_prob: (B, M) log-probabilities of the sampled actions.
        temperature: alpha for the entropy backup, or None to leave it out.

    Returns:
        (B,).
    """
    best, which = values.amin(0).max(-1)
    if temperature is None:
        return best
    return best - temperature * log_prob.gather(-1, which[:, None])[:, 0]


def td_target(reward: Tensor, discount: Tensor, value: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Bellman target y = r + gamma^n (1 - terminated) V(s').

    The whole next value, entropy included, is discounted and masked; a truncated step has a discount above
    zero and so bootstraps.

    Args:
        reward: (B,) n-step reward.
        discount: (B,) gamma^n (1 - terminated).
        value: (B,) from `next_value`.
        value_range: (low, high) clamp of the target where the rewards bound the values, or None.

    Returns:
        (B,).
    """
    target = reward + discount * value
    return target if value_range is None else target.clamp(*value_range)


def td_loss(values: Tensor, target: Tensor) -> Tensor:
    """Mean over critics and batch of (Q_i - y)^2.

    Args:
        values: (N, B).
        target: (B,), without gradient.
    """
    return torch.square(values - target).mean()
