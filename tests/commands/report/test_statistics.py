"""Intervals against published and hand-computed numbers."""

import math

import pytest

from commands.report.statistics import (
    Estimate,
    clustered_interval,
    format_rate,
    gain_interval,
    mean_interval,
    wilson_interval,
)


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


def test_seeds_that_agree_are_as_uncertain_as_their_trials():
    # t(0.975, 2) = 4.302653, its square 18.51282: 60 / (60 + 18.51283) and its mirror image.
    assert clustered_interval([1.0, 1.0, 1.0], [20, 20, 20]) == pytest.approx((0.764206, 1.0), abs=1e-6)
    assert clustered_interval([0.0, 0.0, 0.0], [20, 20, 20]) == pytest.approx((0.0, 0.235794), abs=1e-6)
    assert str(Estimate.of_rates([1.0] * 3, [20] * 3).times(100)) == "100 (76 to 100)"
    assert str(Estimate.of_rates([1.0] * 3, [50] * 3).times(100)) == "100 (89 to 100)"


def test_many_seeds_that_agree_give_wilsons_interval():
    low, high = clustered_interval([0.5] * 2000, [10] * 2000)
    assert (low, high) == pytest.approx(wilson_interval(10_000, 20_000), abs=1e-5)


def test_seeds_that_differ_widen_the_interval():
    # Rates 0.7, 0.8, 0.9 of 50: variance of the mean 0.01 / 3, so 0.16 / 0.00333 = 48 effective trials of 150.
    # Centre (0.8 + 18.51282 / 96) / 1.385684 = 0.71650,
    # half 4.302653 sqrt(0.16 / 48 + 18.51282 / 9216) / 1.385684 = 0.22695.
    assert clustered_interval([0.7, 0.8, 0.9], [50, 50, 50]) == pytest.approx((0.48955, 0.94345), abs=1e-4)
    with_less = clustered_interval([0.79, 0.8, 0.81], [50, 50, 50])
    assert with_less[0] > 0.48955
    assert with_less[1] < 0.94345


def test_a_gain_that_all_seeds_agree_on_is_as_uncertain_as_their_trials():
    mean, low, high = gain_interval([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [(20, 20)] * 3)
    # Smoothed 1/22 and 21/22: 2 * (1/22 * 21/22) / 22 = 0.0039444; sqrt(0.0039444 / 3) * 4.302653 = 0.156015
    assert (mean, low, high) == pytest.approx((1.0, 0.843985, 1.0), abs=1e-5)
    mean, low, high = gain_interval([0.1, 0.2, 0.3], [0.2, 0.6, 1.0], [(1000, 1000)] * 3)
    # Gains 0.1, 0.4, 0.7: standard deviation 0.3, t * 0.3 / sqrt 3 = 0.745242
    assert (mean, low, high) == pytest.approx((0.4, -0.345242, 1.0), abs=1e-5)
    assert math.isnan(gain_interval([0.1], [0.2], [(9, 9)])[1])
