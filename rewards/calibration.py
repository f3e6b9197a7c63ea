"""Turns logits into probabilities that mean what they say; picks the threshold for a false-positive rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logit

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: probability = sigmoid(scale * logit + shift). `Calibration()` changes nothing."""

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, in the shape of `logits`."""
        return sigmoid(self.scale * np.asarray(logits, dtype=np.float64) + self.shift)

    def logits(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """The logits that these probabilities, 0 ... 1, are of; infinite for 0 and 1."""
        return (logit(np.asarray(probabilities, dtype=np.float64)) - self.shift) / self.scale


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def fit_calibration(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """Platt scaling fitted to frames of held-out episodes.

    Targets are (n+ + 1) / (n+ + 2) and 1 / (n- + 2) instead of 1 and 0 (Platt 1999, section 2.2), so that
    separable data does not drive the scale to infinity.

    Args:
        logits: (N,) of frames that training did not see.
        labels: (N,) bool.
        weights: (N,) how often each frame counts; None for once.

    Raises:
        ConfigError: When one of the classes is missing.
    """
    x = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=bool)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    positives, negatives = float(w[y].sum()), float(w[~y].sum())
    if not positives or not negatives:
        raise ConfigError(
            f"Calibration needs held-out frames of both classes, got {int(y.sum())} successes and {int((~y).sum())} "
            "others. Add demonstrations that succeed and episodes that fail."
        )
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    total = w.sum()

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale = math.exp(parameters[0])
        z = scale * x + parameters[1]
        value = float((w * (np.logaddexp(0.0, z) - target * z)).sum() / total)
        error = w * (sigmoid(z) - target) / total
        return value, np.array([(error * x).sum() * scale, error.sum()])

    result = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4.0, 4.0), (-20.0, 20.0)])
    return Calibration(scale=math.exp(float(result.x[0])), shift=float(result.x[1]))


@dataclass(frozen=True)
class Threshold:
    """A threshold and what rules made like it did on held-out episodes, see `rewards.held_out.try_rules`.

    Attributes:
        value: Probability that `frames` consecutive frames must reach.
        false_positive_rate: Share of episodes without success that were stopped.
        recall: Share of successful episodes that were found.
        negatives: Number of episodes without success.
        positives: Number of successful episodes.
    """

    value: float
    false_positive_rate: float
    recall: float
    negatives: int
    positives: int

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ConfigError: When every frame reaches it, or none can.
        """
        if not 0.0 < self.value <= 1.0:
            raise ConfigError(
                f"A threshold of {self.value} is not between 0 and 1: a judge with it calls everything done, or "
                "nothing. Run `regrasp train-reward` again."
            )


@dataclass(frozen=True)
class Choice:
    """A threshold, and the one that the stated rate alone would have given."""

    value: float
    for_rate: float


def choose_threshold(
    negatives: Sequence[float],
    positives: Sequence[float],
    false_positive_rate: float,
    least_recall: float = 0.9,
    least_probability: float = 0.5,
) -> Choice:
    """The threshold for a stated rate of wrongly stopped episodes.

    It is the conformal quantile of the negatives' scores, rank ceil((n + 1)(1 - rate)): with it the expected
    rate on a new episode is at most the stated one. With too few negatives for that (n + 1 < 1 / rate) it
    lies half-way between the highest of them and 1. It is lowered where it would find less than
    `least_recall` of the successes, but never below `least_probability`. What that costs in wrong stops or in recall
    is for held-out episodes to tell.

    Args:
        negatives: Per episode without success, the highest sustained probability (see `debounce.sustained`).
        positives: The same per successful episode, over the frames in which it has succeeded; -inf where they
            are too few or never count.
        false_positive_rate: Stated rate, 0 ... 1.
        least_recall: Share of `positives` that it is lowered for.
        least_probability: The threshold is never lower than this.

    Raises:
        ConfigError: When either is empty, or the rate or `least_probability` is not between 0 and 1.
    """
    for name, share in (("false-positive rate", false_positive_rate), ("least probability", least_probability)):
        if not 0.0 < share < 1.0:
            raise ConfigError(f"The {name} must be between 0 and 1, got {share}.")
    if not len(negatives) or not len(positives):
        raise ConfigError(
            f"A threshold needs held-out episodes of both kinds, got {len(positives)} with success and "
            f"{len(negatives)} without."
        )
    low, high = (
        np.sort(np.asarray(negatives, dtype=np.float64)),
        np.sort(np.asarray(positives, dtype=np.float64)),
    )
    rank = math.ceil((len(low) + 1) * (1.0 - false_positive_rate) - 1e-9)
    value = (max(low[-1], 0.0) + 1.0) / 2 if rank > len(low) else np.nextafter(max(low[rank - 1], 0.0), 1.0)
    missed = math.floor((1.0 - least_recall) * len(high) + 1e-9)
    return Choice(float(max(least_probability, min(value, high[missed]))), float(value))
