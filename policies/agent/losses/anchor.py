"""Keeps the policy near the one that a phase began with, for a while and without retained data."""

from __future__ import annotations

from torch import Tensor

from policies.agent.distribution import divergence
from policies.agent.network_config import PolicyKind


def anchor_loss(
    mean: Tensor, log_std: Tensor, start_mean: Tensor, start_log_std: Tensor, kind: PolicyKind = "tanh_gaussian"
) -> Tensor:
    """Mean over the batch of KL(policy || policy at the start), nats.

    The policy regularisation of BRAC (Wu et al., arXiv 1911.11361), with the pre-trained policy as the behaviour and
    the online data as the states. In this direction the policy may become more precise than its start at little cost,
    but may not go where the start would not; the other direction (cloning from samples of the start) forbids precision,
    and the policy dipped under it.

    Args:
        mean: (B, A) of the present policy, before the tanh.
        log_std: (B, A).
        start_mean: (B, A) of the frozen policy.
        start_log_std: (B, A).
        kind: Of both policies.
    """
    return divergence(kind, mean, log_std, start_mean, start_log_std).mean()


def annealed(weight: float, step: int, steps: int, final: float = 0.0) -> float:
    """From `weight` to `final` in a straight line over `steps`, then `final`."""
    return final + (weight - final) * max(0.0, 1.0 - step / steps)
