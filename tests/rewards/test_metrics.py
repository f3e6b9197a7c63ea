"""Metrics against numbers computed by hand."""

import math

import numpy as np
import pytest

from rewards.metrics import (
    auroc,
    balanced_accuracy,
    expected_calibration_error,
    false_positive_rate_at_recall,
)
from trajectories.errors import ConfigError


def test_balanced_accuracy_weighs_classes_alike():
    labels = [1, 1, 0, 0, 0, 0]
    decisions = [1, 0, 0, 0, 0, 1]  # 1 of 2 found, 3 of 4 refused
    assert balanced_accuracy(labels, decisions) == pytest.approx((0.5 + 0.75) / 2)
    assert math.isnan(balanced_accuracy([1, 1], [1, 0]))


def test_auroc_counts_ordered_pairs_and_half_of_the_ties():
    # pairs (positive, negative): 0.9 > 0.8, 0.9 > 0.3, 0.5 < 0.8, 0.5 > 0.3 -> 3 of 4
    assert auroc([1, 1, 0, 0], [0.9, 0.5, 0.8, 0.3]) == pytest.approx(0.75)
    assert auroc([1, 0], [0.4, 0.4]) == pytest.approx(0.5)
    assert auroc([1, 0, 0], [0.4, 0.4, 0.1]) == pytest.approx(0.75)
    assert math.isnan(auroc([0, 0], [0.1, 0.2]))


def test_auroc_does_not_change_under_a_monotone_map():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(200) < 0.3, rng.normal(size=200)
    assert auroc(labels, scores) == pytest.approx(auroc(labels, np.exp(scores)))
    assert auroc(labels, scores) == pytest.approx(1 - auroc(~labels, scores))


def test_false_positives_at_recall_use_the_threshold_that_finds_enough():
    labels = [1] * 4 + [0] * 5
    scores = [0.9, 0.8, 0.7, 0.2, 0.95, 0.75, 0.6, 0.2, 0.1]
    # recall 0.75: threshold 0.7 -> 0.95 and 0.75 pass; recall 1: threshold 0.2 -> four pass
    assert false_positive_rate_at_recall(labels, scores, 0.75) == pytest.approx(2 / 5)
    assert false_positive_rate_at_recall(labels, scores, 1.0) == pytest.approx(4 / 5)


def test_calibration_error_by_hand():
    # bins of width 0.5: {0.2, 0.4} with one success, {0.9} with one success
    # gaps: |1 - 0.6| = 0.4 and |1 - 0.9| = 0.1 summed over samples, divided by 3
    assert expected_calibration_error([1, 0, 1], [0.2, 0.4, 0.9], bins=2) == pytest.approx(0.5 / 3)
    assert expected_calibration_error([1, 0], [1.0, 0.0]) == 0.0


def test_shapes_that_differ_are_refused():
    with pytest.raises(ConfigError, match=r"\(3,\) and \(2,\)"):
        auroc([1, 0, 1], [0.1, 0.2])
