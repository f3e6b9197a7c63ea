"""HL-Gauss: a value as a histogram, learned by classification.

Farebrother et al., "Stop Regressing: Training Value Functions via Classification for Scalable Deep RL" (arXiv
2403.03950), section 3.1 and appendix A; the histogram loss is Imani and White's (arXiv 1806.04613).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bin_edges(low: float, high: float, bins: int, like: Tensor) -> Tensor:
    """Edges (bins + 1,) of equal bins from low to high, of the type and on the device of `like`."""
    return torch.linspace(low, high, bins + 1, dtype=like.dtype, device=like.device)


def project(target: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """Probability of each bin under a Gaussian around the target, truncated to the support and normalised.

    A target outside of the support is moved to its nearest end first. Near an end the truncation pulls the mean inwards
    (by 0.8 sigma at the very end), so the support should reach some sigmas beyond the values.

    Args:
        target: (...).
        edges: (bins + 1,) from `bin_edges`.
        sigma: Standard deviation of the Gaussian.

    Returns:
        (..., bins), each summing to 1.
    """
    centred = edges - target.clamp(edges[0], edges[-1])[..., None]
    cumulative = torch.erf(centred / (math.sqrt(2.0) * sigma))
    return cumulative.diff(dim=-1) / (cumulative[..., -1:] - cumulative[..., :1])


def cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """-sum_i p_i log softmax(logits)_i over the last axis: (..., bins) to (...)."""
    return -(probabilities * torch.log_softmax(logits, -1)).sum(-1)


def expected_value(logits: Tensor, edges: Tensor) -> Tensor:
    """Mean of the histogram, the bins at their centres: (..., bins) to (...)."""
    centres = (edges[1:] + edges[:-1]) / 2
    return torch.softmax(logits, -1) @ centres
