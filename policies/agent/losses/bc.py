"""Behaviour cloning beside reinforcement learning, balanced as in RoboFuME."""

from __future__ import annotations

import torch
from torch import Tensor

from policies.agent.distribution import log_density
from policies.agent.network_config import PolicyKind

SMALLEST_LOSS = 0.05  # below this a cloning loss is not scaled up further


def clone_nll(
    mean: Tensor,
    log_std: Tensor,
    action: Tensor,
    imitate: Tensor,
    limit: float,
    kind: PolicyKind = "tanh_gaussian",
) -> Tensor:
    """Mean of -log pi(a | s) over the steps to imitate, nats.

    Args:
        mean: (B, A) before the tanh.
        log_std: (B, A).
        action: (B, A) demonstrated.
        imitate: (B,) 1 for the steps that count, 0 for the others.
        limit: Actions are clipped to +-limit.
        kind: Of the policy.
    """
    return masked_mean(-log_density(kind, mean, log_std, action, limit), imitate)


def clone_mse(mean: Tensor, action: Tensor, imitate: Tensor) -> Tensor:
    """Mean squared error, summed over the action's entries, of the policy's mode tanh(mean).

    Args:
        mean: (B, A) before the tanh.
        action: (B, A) demonstrated.
        imitate: (B,) 1 for the steps that count, 0 for the others.
    """
    return masked_mean(torch.square(torch.tanh(mean) - action).sum(-1), imitate)


def balance(reinforcement: Tensor, cloning: Tensor) -> Tensor:
    """Factor that makes cloning as large as reinforcement: |L_RL| / |L_BC|, without gradient.

    RoboFuME (arXiv 2310.15145, section IV-B) scales behaviour cloning so that both losses are of similar
    size.

    Args:
        reinforcement: Scalar actor loss of the critic's part.
        cloning: Scalar cloning loss.
    """
    return reinforcement.detach().abs() / cloning.detach().abs().clamp_min(SMALLEST_LOSS)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` (B,) where `mask` (B,) is 1; 0 where none is."""
    return (values * mask).sum() / mask.sum().clamp_min(1.0)
