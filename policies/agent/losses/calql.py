"""The calibration of Cal-QL: policy actions are not pushed below what the data's behaviour returned."""

from __future__ import annotations

import torch
from torch import Tensor


def calibrate(policy: Tensor, mc_return: Tensor) -> Tensor:
    """Bound the values of policy actions from below inside the conservative regulariser.

    max(Q(s, a), V_mu(s)), Nakamoto et al., arXiv 2303.05479, eq. 5.1, with the Monte-Carlo return for V_mu.
    Only for actions drawn from the policy, never for the uniform ones. Where the bound is active the value
    gets no gradient, so the regulariser stops pushing it down.

    Args:
        policy: (N, B, P) values of actions drawn from the policy.
        mc_return: (B,).

    Returns:
        (N, B, P).
    """
    return torch.maximum(policy, mc_return[:, None])
