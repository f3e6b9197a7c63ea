"""Expectile regression: the state value of implicit Q-learning."""

from __future__ import annotations

import torch
from torch import Tensor


def expectile_loss(value: Tensor, target: Tensor, expectile: float) -> Tensor:
    """Mean of |expectile - 1(u < 0)| u^2 with u = target - value.

    Kostrikov et al., arXiv 2110.06169, eq. 5: with an expectile above 0.5 the value lies near the best actions of the
    data without any action being sampled. At 0.5 it is half the squared error.

    Args:
        value: (B,) V(s).
        target: (B,) Q(s, a) of the data's action, without gradient.
        expectile: In (0, 1).
    """
    difference = target - value
    weight = torch.where(difference < 0, 1.0 - expectile, expectile)
    return (weight * torch.square(difference)).mean()
