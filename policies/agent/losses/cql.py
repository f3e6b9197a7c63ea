"""The conservative regulariser of CQL, with importance sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def conservative_gap(
    data: Tensor, random: Tensor, policy: Tensor, policy_log_prob: Tensor | None, action_size: int
) -> Tensor:
    """How far out-of-distribution actions are valued above those in the data, by critic and state.

    CQL(H) of Kumar et al., arXiv 2006.04779, eq. 4 and appendix F: log sum_a exp Q(s, a) - Q(s, a_data). With
    importance sampling each sampled value is corrected by its log density, uniform over [-1, 1]^A: A
    log(1/2). Without, the data action joins the samples and the log of their number is subtracted (the
    reference's branch).

    Args:
        data: (N, B) values of the data actions.
        random: (N, B, M) values of uniform actions.
        policy: (N, B, P) values of actions drawn from the policy (at this and at the next state).
        policy_log_prob: (B, P) their log-probabilities, or None for no importance sampling.
        action_size: A.

    Returns:
        (N, B).
    """
    if policy_log_prob is None:
        every = torch.cat([random, policy, data[..., None]], -1)
        return torch.logsumexp(every, -1) - math.log(every.shape[-1]) - data
    uniform = action_size * math.log(0.5)
    every = torch.cat([random - uniform, policy - policy_log_prob], -1)
    return torch.logsumexp(every, -1) - data
