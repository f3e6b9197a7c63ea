"""The actor's improvement against the ensemble: with entropy, or along the gradient of the value alone."""

from __future__ import annotations

from torch import Tensor

from policies.agent.phase_config import Aggregate

SMALLEST_VALUE = 1e-6  # of mean |Q| that the deterministic improvement is divided by


def aggregate(values: Tensor, how: Aggregate) -> Tensor:
    """(N, B) values to (B,).

    The mean (REDQ), the minimum over all critics (the WSRL reference), or the first critic's alone (TD3).
    """
    if how == "first":
        return values[0]
    return values.mean(0) if how == "mean" else values.amin(0)


def actor_loss(
    value: Tensor, log_prob: Tensor, temperature: Tensor, scale: float | None = None, magnitude: Tensor | None = None
) -> Tensor:
    """Mean of lambda (alpha log pi(a | s) - Q(s, a)), a reparameterised; Haarnoja et al., arXiv 1812.05905, eq. 7.

    Args:
        value: (B,) from `aggregate`.
        log_prob: (B,).
        temperature: alpha, without gradient.
        scale: Of `value_factor`, which gives lambda; None: lambda = 1.
        magnitude: See `value_factor`.
    """
    return (temperature * log_prob - value).mean() * value_factor(value, scale, magnitude)


def deterministic_loss(value: Tensor, scale: float | None, magnitude: Tensor | None = None) -> Tensor:
    """Mean of -lambda Q(s, mu(s)), the deterministic policy gradient (Lillicrap et al., arXiv 1509.02971, eq. 6).

    Args:
        value: (B,) from `aggregate`.
        scale: Of `value_factor`, which gives lambda; None: lambda = 1.
        magnitude: See `value_factor`.
    """
    return -value.mean() * value_factor(value, scale, magnitude)


def value_factor(value: Tensor, scale: float | None, magnitude: Tensor | None = None) -> Tensor | float:
    """With a number a, a / mean |Q| over the batch, without gradient; 1 without.

    TD3+BC (Fujimoto and Gu, arXiv 2106.06860, eq. 5), and DDPG+BC extraction as in OGBench (arXiv 2410.20092).

    Args:
        value: (B,) from `aggregate`.
        scale: a.
        magnitude: mean |Q|, scalar, where the values are of a part of the batch; None: that of `value`.
    """
    if scale is None:
        return 1.0
    return scale / (value.detach().abs().mean() if magnitude is None else magnitude).clamp_min(SMALLEST_VALUE)
