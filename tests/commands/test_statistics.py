"""Wilson's interval against published numbers."""

import pytest

from commands.statistics import format_rate, wilson_interval


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
