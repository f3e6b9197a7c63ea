"""How good a success detector is. All take boolean labels (N,) and scores or probabilities (N,)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trajectories.errors import ConfigError


def _both(labels: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth = np.asarray(labels, dtype=bool)
    numbers = np.asarray(values, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != numbers.shape:
        raise ConfigError(f"Labels and scores must be (N,) each, got {truth.shape} and {numbers.shape}.")
    return truth, numbers


def balanced_accuracy(labels: ArrayLike, decisions: ArrayLike) -> float:
    """Mean of the hit rate on positives and on negatives; NaN when one of them is missing."""
    truth, decided = _both(labels, decisions)
    if truth.all() or not truth.any():
        return math.nan
    return float(((decided > 0)[truth].mean() + (decided <= 0)[~truth].mean()) / 2)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores higher than a negative, ties counting half; NaN without both."""
    truth, values = _both(labels, scores)
    positives, negatives = values[truth], np.sort(values[~truth])
    if not len(positives) or not len(negatives):
        return math.nan
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    return float((below + not_above).sum() / (2 * len(positives) * len(negatives)))


def false_positive_rate_at_recall(labels: ArrayLike, scores: ArrayLike, recall: float = 0.95) -> float:
    """Share of negatives that score at least as high as the threshold that finds `recall` of the positives.

    NaN without both classes.
    """
    truth, values = _both(labels, scores)
    positives, negatives = np.sort(values[truth])[::-1], values[~truth]
    if not len(positives) or not len(negatives):
        return math.nan
    needed = max(math.ceil(recall * len(positives) - 1e-9), 1)
    return float((negatives >= positives[needed - 1]).mean())


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Mean gap between stated probability and observed frequency.

    Over bins of equal width, weighted by their counts (arXiv 1706.04599, eq. 3). NaN for no samples.
    """
    truth, stated = _both(labels, probabilities)
    if not len(truth):
        return math.nan
    index = np.minimum((stated * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins)
    gaps = np.bincount(index, weights=truth, minlength=bins) - np.bincount(index, weights=stated, minlength=bins)
    return float(np.abs(gaps[counts > 0]).sum() / len(truth))
