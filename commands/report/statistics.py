"""Statistics of success rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Args:
        successes: Number of successes, 0 ... trials.
        trials: Number of trials; 0 gives the interval (0, 1).
        confidence: Two-sided confidence level.

    Returns:
        Lower and upper bound, both in 0 ... 1.

    Raises:
        ValueError: When the counts contradict each other.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials: expected 0 <= successes <= trials")
    if trials == 0:
        return 0.0, 1.0
    from statistics import NormalDist

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    centre = rate + z * z / (2 * trials)
    scale = 1 + z * z / trials
    lower, upper = (centre - spread) / scale, (centre + spread) / scale
    return (0.0 if successes == 0 else lower), (1.0 if successes == trials else upper)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent values with Student's t interval.

    Args:
        values: At least one.
        confidence: Two-sided confidence level.

    Returns:
        Mean, lower and upper bound; the bounds are NaN for a single value, all three if one of the values is NaN.

    Raises:
        ValueError: Without any value.
    """
    from statistics import fmean, stdev

    from scipy.stats import t

    mean = fmean(values)
    if len(values) < 2 or math.isnan(mean):
        return mean, math.nan, math.nan
    half = float(t.ppf(0.5 + confidence / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds with a 95 % interval (Student's t), and the values.

    Attributes:
        values: One a seed.
        mean: Their mean.
        low: Lower bound; NaN for a single seed.
        high: Upper bound; the same.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Estimate:
        """Estimate the mean from one value per seed."""
        return Estimate(tuple(values), *mean_interval(values))

    def text(self, scale: float) -> str:
        """E.g. `85 ± 14`, each times `scale`; `not a number` when one of the values isn't."""
        if math.isnan(self.mean):
            return "not a number"
        mean, half = scale * self.mean, scale * (self.high - self.mean)
        return _significant(mean, 3) if math.isnan(half) else f"{_significant(mean, 3)} ± {_significant(half, 2)}"

    def __str__(self) -> str:
        """E.g. `85 (71 to 99)`; `-` without a value."""
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:.0f}" if math.isnan(self.low) else f"{self.mean:.0f} ({self.low:.0f} to {self.high:.0f})"


def _significant(value: float, digits: int) -> str:
    """So many significant digits, or all those before the point; no exponent from 1 upwards."""
    return f"{value:.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


def format_rate(successes: int, trials: int) -> str:
    """E.g. `42/50 = 84 % (71–92)`."""
    lower, upper = wilson_interval(successes, trials)
    rate = 100 * successes / trials if trials else float("nan")
    return f"{successes}/{trials} = {rate:.0f} % ({100 * lower:.0f}–{100 * upper:.0f})"
