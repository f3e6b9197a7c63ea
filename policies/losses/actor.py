"""The actor's soft policy improvement against the ensemble."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def aggregate(values: Tensor, how: Literal["mean", "min"]) -> Tensor:
    """(N, B) values to (B,): the mean (REDQ) or the minimum over all critics (the WSRL reference)."""
    return values.mean(0) if how == "mean" else values.amin(0)


def actor_loss(value: Tensor, log_prob: Tensor, temperature: Tensor) -> Tensor:
    """Mean of alpha log pi(a | s) - Q(s, a), a reparameterised; Haarnoja et al., arXiv 1812.05905, eq. 7.

    Args:
        value: (B,) from `aggregate`.
        log_prob: (B,).
        temperature: alpha, without gradient.
    """
    return (temperature * log_prob - value).mean()
