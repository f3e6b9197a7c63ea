"""A learned weight of the CQL regulariser that keeps it at a chosen gap."""

from __future__ import annotations

from torch import Tensor


def lagrange_loss(log_weight: Tensor, penalty: Tensor, gap: float) -> Tensor:
    """Loss of the multiplier: -exp(log_weight) (penalty - gap); Kumar et al., arXiv 2006.04779, eq. 30.

    Args:
        log_weight: Scalar parameter.
        penalty: Scalar mean of the conservative gap, without gradient.
        gap: What it should be.
    """
    return -log_weight.exp() * (penalty - gap)
