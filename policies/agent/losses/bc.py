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
    count: Tensor | None = None,
) -> Tensor:
    """Mean of -log pi(a | s) over the steps to imitate, nats.

    Args:
        mean: (B, A) before the tanh.
        log_std: (B, A).
        action: (B, A) demonstrated.
        imitate: (B,) 1 for the steps that count, 0 for the others.
        limit: Actions are clipped to +-limit.
        kind: Of the policy.
        count: See `masked_mean`.
    """
    return masked_mean(-log_density(kind, mean, log_std, action, limit), imitate, count)


def clone_mse(mean: Tensor, action: Tensor, imitate: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean squared error, summed over the action's entries, of the policy's mode tanh(mean).

    Args:
        mean: (B, A) before the tanh.
        action: (B, A) demonstrated.
        imitate: (B,) 1 for the steps that count, 0 for the others.
        count: See `masked_mean`.
    """
    return masked_mean(torch.square(torch.tanh(mean) - action).sum(-1), imitate, count)


def balance(reinforcement: Tensor, cloning: Tensor) -> Tensor:
    """Factor that makes cloning as large as reinforcement: |L_RL| / |L_BC|, without gradient.

    RoboFuME (arXiv 2310.15145, section IV-B) scales behaviour cloning so that both losses are of similar
    size.

    Args:
        reinforcement: Scalar actor loss of the critic's part.
        cloning: Scalar cloning loss.
    """
    return reinforcement.detach().abs() / cloning.detach().abs().clamp_min(SMALLEST_LOSS)


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of `values` (B,) where `mask` (B,) is 1; 0 where none is.

    Args:
        values: (B,).
        mask: (B,).
        count: What their sum is divided by where the batch is one of equal parts: the steps that count in an average
            one, so that the mean over the parts is that of the whole batch. None: those of this batch.
    """
    return (values * mask).sum() / (mask.sum().clamp_min(1.0) if count is None else count)
