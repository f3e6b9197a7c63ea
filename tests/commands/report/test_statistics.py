"""Intervals against published and hand-computed numbers."""

import math

import pytest

from commands.report.statistics import format_rate, mean_interval, wilson_interval


def test_wilson_against_published_numbers():
    # Newcombe 1998, Statistics in Medicine 17, table I: method 3 (score) for 81/263 and 15/148.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)


def test_no_trials_say_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_contradicting_counts_are_refused():
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson_interval(5, 4)


def test_format():
    assert format_rate(42, 50) == "42/50 = 84 % (71–92)"


def test_mean_interval_by_hand():
    # t(0.975, 2) = 4.302653; mean 80, standard deviation 10: half width 4.302653 * 10 / sqrt(3) = 24.8414.
    assert mean_interval([70.0, 80.0, 90.0]) == pytest.approx((80.0, 55.1586, 104.8414), abs=1e-3)


def test_one_seed_has_no_interval():
    mean, low, high = mean_interval([0.4])
    assert mean == 0.4
    assert math.isnan(low)
    assert math.isnan(high)
