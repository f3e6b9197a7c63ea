"""The entropy temperature as a Lagrange multiplier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def temperature_of(raw: Tensor) -> Tensor:
    """Temperature alpha = softplus(raw), positive."""
    return F.softplus(raw)


def raw_of(temperature: float) -> Tensor:
    """The raw parameter of a temperature: the inverse of `temperature_of`, float32 scalar."""
    value = torch.tensor(temperature, dtype=torch.float64)
    return (value + torch.log(-torch.expm1(-value))).float()


def temperature_loss(raw: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """Loss alpha (entropy - target entropy), so that alpha grows while the entropy is too small.

    Haarnoja et al., arXiv 1812.05905, eq. 18, with alpha = softplus(raw).

    Args:
        raw: Scalar parameter.
        log_prob: (B,) of actions of the policy, without gradient.
        target_entropy: Nats.
    """
    return temperature_of(raw) * (-log_prob.mean() - target_entropy)
