"""Keeps the policy near the one that a phase began with, for a while and without retained data."""

from __future__ import annotations

from torch import Tensor

from policies.distribution import kl


def anchor_loss(start_mean: Tensor, start_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Mean over the batch of KL(policy at the start || policy), nats.

    It has the gradient of behaviour cloning from fresh samples of the starting policy on the online states:
    the online counterpart of a cloning term, as in kickstarting (Schmitt et al., arXiv 1803.03835, eq. 2).

    Args:
        start_mean: (B, A) of the frozen policy, before the tanh.
        start_log_std: (B, A).
        mean: (B, A) of the present policy.
        log_std: (B, A).
    """
    return kl(start_mean, start_log_std, mean, log_std).mean()


def annealed(weight: float, step: int, steps: int, final: float = 0.0) -> float:
    """From `weight` to `final` in a straight line over `steps`, then `final`."""
    return final + (weight - final) * max(0.0, 1.0 - step / steps)
