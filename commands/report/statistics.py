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

    lower, upper = _score_interval(successes / trials, trials, NormalDist().inv_cdf(0.5 + confidence / 2))
    return (0.0 if successes == 0 else lower), (1.0 if successes == trials else upper)


def _score_interval(rate: float, trials: float, quantile: float) -> tuple[float, float]:
    """Bounds of the score test of a proportion, which may lie outside of 0 ... 1 by a rounding error."""
    spread = quantile * math.sqrt(rate * (1 - rate) / trials + quantile * quantile / (4 * trials * trials))
    centre, scale = rate + quantile * quantile / (2 * trials), 1 + quantile * quantile / trials
    return (centre - spread) / scale, (centre + spread) / scale


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


def paired_interval(lost: int, gained: int, pairs: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Difference of two proportions that were counted on the same cases, with Tango's score interval.

    It inverts the score test of matched pairs, as `wilson_interval` that of one proportion, so that it has a width
    where all pairs agree, too (T. Tango, Statistics in Medicine 17, 1998).

    Args:
        lost: Pairs that succeeded the first time only.
        gained: Pairs that succeeded the second time only.
        pairs: All of them; 0 gives the interval (-1, 1) about 0.
        confidence: Two-sided confidence level.

    Returns:
        Second proportion minus the first, lower and upper bound, in -1 ... 1.

    Raises:
        ValueError: When the counts contradict each other.
    """
    if lost < 0 or gained < 0 or lost + gained > pairs:
        raise ValueError(f"{lost} lost and {gained} gained of {pairs} pairs: expected no more than there are")
    if pairs == 0:
        return 0.0, -1.0, 1.0
    from statistics import NormalDist

    from scipy.optimize import brentq

    mean, quantile = (gained - lost) / pairs, NormalDist().inv_cdf(0.5 + confidence / 2)

    def score(shift: float) -> float:
        b = -gained - lost + (2 * pairs - gained + lost) * shift
        root = math.sqrt(max(0.0, b * b + 8 * pairs * lost * shift * (1 - shift)))
        chance = (root - b) / (4 * pairs)  # of a lost pair, most likely where the true difference is `shift`
        spread = pairs * (2 * chance + shift * (1 - shift))
        return (gained - lost - pairs * shift) / math.sqrt(max(spread, 1e-300))

    edge = 1 - 1e-12
    low = -1.0 if mean <= -edge else float(brentq(lambda shift: score(shift) - quantile, -edge, mean))
    high = 1.0 if mean >= edge else float(brentq(lambda shift: score(shift) + quantile, mean, edge))
    return mean, low, high


def clustered_interval(rates: Sequence[float], trials: Sequence[int], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion from several seeds: trials of one seed are alike, so the seeds are clusters.

    Wilson's interval with Student's quantile of as many seeds, and with the effective number of trials, p (1 - p) over
    the variance of the mean over seeds, at most all trials (modified Wilson interval of Franco, Little, Louis and Slud,
    Journal of Survey Statistics and Methodology 7, 2019). Seeds that agree, e.g. all at 100 %, keep the width of their
    trials.

    Args:
        rates: One a seed, each in 0 ... 1.
        trials: Of each seed.
        confidence: Two-sided confidence level.

    Returns:
        Lower and upper bound, both in 0 ... 1; NaN for a single seed, or if one of the rates is NaN.
    """
    from statistics import fmean, variance

    from scipy.stats import t

    mean = fmean(rates)
    if len(rates) < 2 or math.isnan(mean):
        return math.nan, math.nan
    spread, most = variance(rates) / len(rates), float(sum(trials))
    count = most if spread == 0 else min(most, mean * (1 - mean) / spread)
    count = max(count, 1.0)
    quantile = float(t.ppf(0.5 + confidence / 2, len(rates) - 1))
    low, high = _score_interval(mean, count, quantile)
    return max(0.0, low), min(1.0, high)


def gain_interval(
    before: Sequence[float], after: Sequence[float], trials: Sequence[tuple[int, int]], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean gain of seeds in a proportion, with Student's t interval, at least as wide as the trials alone make it.

    The variance of the mean is that between the seeds' gains, or, if that is larger, the binomial one of their rates
    with a success and a failure added to each (Agresti and Caffo, The American Statistician 54, 2000).

    Args:
        before: Rates, one a seed.
        after: The same, in the same order.
        trials: Of each seed, before and after.
        confidence: Two-sided confidence level.

    Returns:
        Mean, lower and upper bound, in -1 ... 1; the bounds are NaN for a single seed.
    """
    from statistics import fmean, variance

    from scipy.stats import t

    gains = [late - early for early, late in zip(before, after, strict=True)]
    mean, seeds = fmean(gains), len(gains)
    if seeds < 2 or math.isnan(mean):
        return mean, math.nan, math.nan

    def binomial(rate: float, count: int) -> float:
        smoothed = (rate * count + 1) / (count + 2)
        return smoothed * (1 - smoothed) / (count + 2)

    each = [
        binomial(early, counts[0]) + binomial(late, counts[1])
        for early, late, counts in zip(before, after, trials, strict=True)
    ]
    error = math.sqrt(max(variance(gains), fmean(each)) / seeds)
    half = float(t.ppf(0.5 + confidence / 2, seeds - 1)) * error
    return mean, max(-1.0, mean - half), min(1.0, mean + half)


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds with a 95 % interval, and the values.

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
        """Estimate the mean from one value per seed, with Student's t interval."""
        return Estimate(tuple(values), *mean_interval(values))

    @staticmethod
    def of_rates(rates: Sequence[float], trials: Sequence[int]) -> Estimate:
        """Estimate a proportion from one rate per seed, with `clustered_interval`."""
        from statistics import fmean

        return Estimate(tuple(rates), fmean(rates), *clustered_interval(rates, trials))

    @staticmethod
    def of_gains(before: Sequence[float], after: Sequence[float], trials: Sequence[tuple[int, int]]) -> Estimate:
        """Estimate the gain in a proportion from one pair of rates per seed, with `gain_interval`."""
        gains = tuple(late - early for early, late in zip(before, after, strict=True))
        return Estimate(gains, *gain_interval(before, after, trials))

    def times(self, scale: float) -> Estimate:
        """The same in another unit."""
        return Estimate(tuple(scale * v for v in self.values), scale * self.mean, scale * self.low, scale * self.high)

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
