"""Advantage-weighted regression: the policy clones the data's actions, the better ones more."""

from __future__ import annotations

import torch
from torch import Tensor


def advantage_weights(advantage: Tensor, inverse_temperature: float, clip: float) -> Tensor:
    """min(exp(beta A), clip), elementwise.

    Policy extraction of IQL (Kostrikov et al., arXiv 2110.06169, eq. 7, with the clip of 100 of its code) and update of
    AWAC (Nair et al., arXiv 2006.09359, eq. 13, beta = 1 / lambda). AWAC's partition function Z(s) is left out, as in
    the paper, and nothing is normalised over the batch: the authors' code takes a softmax over the batch instead, which
    ties the weight of a transition to what else happens to be in its batch. The clip bounds the weights as that softmax
    does; CORL's AWAC (arXiv 2210.07105) does the same.

    Args:
        advantage: (B,) Q(s, a) - V(s).
        inverse_temperature: beta.
        clip: Upper bound of a weight.
    """
    return torch.exp(inverse_temperature * advantage).clamp_max(clip)


def awr_loss(log_density: Tensor, weight: Tensor) -> Tensor:
    """Mean of -weight log pi(a | s).

    Args:
        log_density: (B,) of the data's actions.
        weight: (B,) from `advantage_weights`, without gradient.
    """
    return -(weight * log_density).mean()
