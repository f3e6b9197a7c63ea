"""Platt scaling and the choice of the threshold."""

import numpy as np
import pytest

from rewards.calibration import Calibration, Threshold, choose_threshold, fit_calibration, sigmoid
from rewards.metrics import expected_calibration_error
from trajectories.errors import ConfigError


def test_calibration_recovers_the_scale_and_shift_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < sigmoid(0.5 * logits - 1.0)
    fitted = fit_calibration(logits, labels)
    assert fitted.scale == pytest.approx(0.5, abs=0.03)
    assert fitted.shift == pytest.approx(-1.0, abs=0.05)
    before = expected_calibration_error(labels, sigmoid(logits))
    after = expected_calibration_error(labels, fitted(logits))
    assert after < 0.02 < 0.1 < before


def test_separable_logits_stay_finite():
    fitted = fit_calibration([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert np.isfinite([fitted.scale, fitted.shift]).all()
    # Platt's targets for two of each class are 3/4 and 1/4
    assert fitted([-2.0, 2.0]) == pytest.approx([0.25, 0.75], abs=0.12)


def test_weights_count_like_repetitions():
    logits, labels = np.array([-1.0, 0.5, 0.2, 2.0]), np.array([False, True, False, True])
    times = np.array([3, 1, 2, 1])
    weighted = fit_calibration(logits, labels, weights=times)
    repeated = fit_calibration(np.repeat(logits, times), np.repeat(labels, times))
    assert (weighted.scale, weighted.shift) == pytest.approx((repeated.scale, repeated.shift), abs=1e-3)
    plain = fit_calibration(logits, labels)
    assert abs(plain.shift - weighted.shift) > 0.1


def test_the_identity_changes_nothing():
    assert Calibration()([0.0]) == pytest.approx([0.5])
    assert sigmoid(np.array([-1000.0, 1000.0])) == pytest.approx([0.0, 1.0])


def test_calibration_needs_both_classes():
    with pytest.raises(ConfigError, match="both classes"):
        fit_calibration([1.0, 2.0], [True, True])


def test_threshold_is_the_conformal_quantile():
    negatives = np.linspace(0.01, 0.99, 99)  # n + 1 = 100
    chosen = choose_threshold(negatives, [0.999] * 20, false_positive_rate=0.1)
    # rank ceil(100 * 0.9) = 90: just above 0.90, so the nine highest pass
    assert chosen.value == chosen.for_rate == pytest.approx(0.90)
    assert (negatives >= chosen.value).sum() == 9


def test_threshold_keeps_the_stated_rate_on_new_episodes():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(1000):
        chosen = choose_threshold(rng.beta(2, 2, 60), [1.0], false_positive_rate=0.1)
        rates.append((rng.beta(2, 2, 400) >= chosen.value).mean())
    assert np.mean(rates) < 0.103  # 6 / 61 expected, standard error 0.001


def test_few_negatives_put_the_threshold_above_all_of_them():
    assert choose_threshold([0.2, 0.6], [0.9, 0.95], false_positive_rate=0.02).value == pytest.approx(0.8)


def test_the_threshold_is_lowered_for_recall_and_says_from_where():
    chosen = choose_threshold([0.1, 0.97], [0.95] * 10, false_positive_rate=0.02, least_recall=0.9)
    assert chosen.value == pytest.approx(0.95)
    assert chosen.for_rate == pytest.approx(0.985)


@pytest.mark.parametrize("worst", [0.7, 0.456, 0.0, -np.inf])
def test_the_threshold_never_falls_below_the_least_whatever_the_worst_success_scores(worst):
    assert choose_threshold([0.0] * 200, [0.99] * 10, 0.02).value == 0.5
    assert choose_threshold([0.0] * 200, [0.99] * 10, 0.02, least_probability=0.8).value == 0.8
    assert choose_threshold([0.0] * 200, [worst] + [0.99] * 7, 0.02, least_probability=0.8).value == 0.8


@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, float("nan")])
def test_a_threshold_that_every_frame_reaches_or_none_is_refused(value):
    with pytest.raises(ConfigError, match="calls everything done, or nothing"):
        Threshold(value, 0.0, 1.0, 10, 10)


@pytest.mark.parametrize("rate", [0.0, 1.0, 2.0])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        choose_threshold([0.1], [0.9], rate)


def test_threshold_needs_both_kinds_of_episodes():
    with pytest.raises(ConfigError, match="0 without"):
        choose_threshold([], [0.9], 0.02)
