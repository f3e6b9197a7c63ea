"""What is said for sure about a judge, and which judges are refused."""

from dataclasses import replace

import numpy as np
import pytest

from rewards.certificate import Certificate, by_chance, episodes_to_certify, highest_rate, lowest_rate
from rewards.config import RewardConfig
from trajectories.errors import ConfigError


def test_bounds_by_hand():
    # none of n: (1 - p)^n = 0.05; all of n: p^n = 0.05
    assert highest_rate(0, 44) == pytest.approx(1 - 0.05 ** (1 / 44))
    assert lowest_rate(8, 8) == pytest.approx(0.05 ** (1 / 8))
    assert (highest_rate(5, 5), lowest_rate(0, 5)) == (1.0, 0.0)
    # one of two: P(X <= 1) = 1 - p^2 = 0.05 above, P(X >= 1) = 1 - (1 - p)^2 = 0.05 below
    assert highest_rate(1, 2) == pytest.approx(0.95**0.5)
    assert lowest_rate(1, 2) == pytest.approx(1 - 0.95**0.5)


def test_149_episodes_certify_two_per_cent():
    assert episodes_to_certify(0.02) == 149  # log 0.05 / log 0.98 = 148.3
    assert Certificate(0, 149, 8, 8).certifies(0.02)
    assert not Certificate(0, 148, 8, 8).certifies(0.02)
    assert not Certificate(1, 149, 8, 8).certifies(0.02)


def test_too_few_episodes_are_said_with_rate_recall_and_numbers():
    words = Certificate(1, 44, 7, 8).words(0.02)
    assert "1 of 44 without success called done (2.3 %, at most 10.3 % with 95 % confidence)" in words
    assert "7 of 8 successes found (88 %, at least 53 %)" in words
    assert "n too small to certify 2 %: 44 episodes without success, and it takes 149" in words
    assert "too small" not in Certificate(0, 149, 8, 8).words(0.02)
    assert "at most the stated 2 %" in Certificate(0, 149, 8, 8).words(0.02)
    assert "the stated 2 % is not certified" in Certificate(4, 149, 8, 8).words(0.02)


@pytest.mark.parametrize("certificate", [Certificate(0, 44, 8, 8), Certificate(4, 44, 8, 8), Certificate(0, 18, 1, 6)])
def test_what_may_still_be_right_is_not_refused(certificate):
    certificate.require(RewardConfig())


@pytest.mark.parametrize("stopped", [5, 44])  # 99 %: at least 3.0 % of 44
def test_failures_called_done_are_refused(stopped):
    with pytest.raises(ConfigError, match=rf"{stopped} of 44 held-out episodes without success"):
        Certificate(stopped, 44, 8, 8).require(RewardConfig())
    Certificate(5, 44, 8, 8).require(RewardConfig(false_positive_rate=0.1))


def test_a_judge_that_finds_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"found 0 of 8 .* reward\.frames=3"):
        Certificate(0, 44, 0, 8).require(RewardConfig())


@pytest.mark.parametrize(
    ("stopped", "negatives", "found", "positives"),
    [(0, 18, 0, 6), (0, 6, 0, 3), (6, 6, 6, 6), (1, 6, 1, 6), (2, 6, 1, 6)],
)
def test_a_judge_that_can_not_tell_at_all_is_refused_with_few_episodes_too(stopped, negatives, found, positives):
    config = RewardConfig(false_positive_rate=0.9)  # not for stopping too many
    blind = Certificate(stopped, negatives, found, positives, chance=0.3)
    with pytest.raises(ConfigError, match=rf"can't tell .* called {found} of {positives} .* {stopped} of {negatives} "):
        blind.require(config)
    replace(blind, chance=0.05).require(config)  # its scores tell: it only has too few episodes to be sure
    Certificate(1, 6, 2, 6, chance=0.3).require(config)


def test_chance_by_hand():
    assert by_chance([0.4, 0.5, 0.6], [0.1, 0.2, 0.3]) == pytest.approx(1 / 20)  # of 6 over 3 orders
    assert by_chance([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]) == pytest.approx(1.0)
    assert by_chance([0.5] * 6, [0.5] * 18) == 1.0
    assert by_chance([0.5] * 6, [-np.inf, *[0.5] * 17]) > 0.2


def test_a_judge_that_finds_one_direction_alone_is_refused():
    both = {"forward": (13, 13), "backward": (12, 13)}
    Certificate(0, 44, 25, 26, both).require(RewardConfig())
    with pytest.raises(
        ConfigError, match=r"most successes of the forward task: it found 0 of 13 .*require_open_gripper"
    ):
        Certificate(0, 44, 13, 26, {"forward": (0, 13), "backward": (13, 13)}).require(RewardConfig())
