"""Intervals against published and hand-computed numbers."""

import math

import numpy as np
import pytest

from commands.report.statistics import (
    Estimate,
    clustered_interval,
    format_rate,
    gain_interval,
    mean_interval,
    paired_interval,
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


def test_paired_interval_inverts_the_score_test_of_matched_pairs():
    """By brute force: the likelihood of the discordant pairs, maximised where the true difference is the bound."""
    quantile = 1.959963984540054

    def score(lost, gained, pairs, shift):
        chances = np.linspace(max(0.0, -shift), (1 - shift) / 2, 400_001)[1:-1]  # of a lost pair
        likelihood = gained * np.log(chances + shift) + lost * np.log(chances)
        likelihood += (pairs - lost - gained) * np.log1p(-2 * chances - shift)
        chance = chances[likelihood.argmax()]
        return (gained - lost - pairs * shift) / math.sqrt(pairs * (2 * chance + shift * (1 - shift)))

    for lost, gained, pairs in ((1, 4, 12), (3, 3, 20), (7, 1, 30)):
        mean, low, high = paired_interval(lost, gained, pairs)
        assert mean == pytest.approx((gained - lost) / pairs)
        assert score(lost, gained, pairs, low) == pytest.approx(quantile, abs=1e-3)
        assert score(lost, gained, pairs, high) == pytest.approx(-quantile, abs=1e-3)


def test_paired_interval_at_its_ends():
    assert paired_interval(0, 0, 0) == (0.0, -1.0, 1.0)
    square = 1.959963984540054**2
    for pairs in (1, 10, 50):  # all pairs agree: still no certainty
        mean, low, high = paired_interval(0, 0, pairs)
        assert (mean, -low, high) == pytest.approx(
            (0.0, square / (pairs + square), square / (pairs + square)), abs=1e-6
        )
    mean, low, high = paired_interval(0, 10, 10)
    assert (mean, high) == (1.0, 1.0)
    assert 0.4 < low < 1.0
    assert paired_interval(2, 5, 20)[1] == pytest.approx(-paired_interval(5, 2, 20)[2])
    with pytest.raises(ValueError, match="3 lost and 2 gained of 4 pairs"):
        paired_interval(3, 2, 4)


def test_paired_interval_covers_the_truth():
    """Exactly, over all outcomes of 15 pairs: 95 % on average, and never much less."""
    pairs, covered = 15, []
    for lost, gained in ((0.05, 0.05), (0.3, 0.1), (0.2, 0.2), (0.45, 0.0), (0.1, 0.6)):
        total = 0.0
        for a in range(pairs + 1):
            for b in range(pairs + 1 - a):
                _, low, high = paired_interval(a, b, pairs)
                if low <= gained - lost <= high:
                    ways = math.comb(pairs, a) * math.comb(pairs - a, b)
                    total += ways * lost**a * gained**b * (1 - lost - gained) ** (pairs - a - b)
        covered.append(total)
    assert min(covered) > 0.92
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)
