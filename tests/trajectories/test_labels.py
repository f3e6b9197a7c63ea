"""Sparse labels and Monte-Carlo returns against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.trajectory_samples import SPEC, sample_episode
from hypothesis import given
from hypothesis import strategies as st

from trajectories.checks import check_episode
from trajectories.errors import InvalidEpisodeError
from trajectories.labels import follow_outcome, labelled, monte_carlo_returns, relabel, sparse_labels

NEVER = np.zeros(5, np.bool_)


def test_the_last_three_frames_of_a_success_are_rewarded_and_terminate():
    rewards, terminated = sparse_labels(6, "success")
    np.testing.assert_array_equal(rewards, np.float32([-1, -1, -1, 0, 0, 0]))
    np.testing.assert_array_equal(terminated, [False, False, False, True, True, True])
    assert (rewards.dtype, terminated.dtype) == (np.float32, np.bool_)


def test_one_success_frame_on_demand_and_short_episodes_are_all_success():
    np.testing.assert_array_equal(sparse_labels(3, "success", 1)[0], [-1, -1, 0])
    np.testing.assert_array_equal(sparse_labels(2, "success")[0], [0, 0])


@pytest.mark.parametrize("outcome", ["failure", "unknown"])
def test_nothing_but_success_terminates(outcome):
    rewards, terminated = sparse_labels(4, outcome)
    np.testing.assert_array_equal(rewards, [-1, -1, -1, -1])
    assert not terminated.any()


def test_returns_of_a_success_by_hand():
    """Gamma 1/2: 0 in the last three; then -1, -1 - 1/2, -1 - 1/2 - 1/4."""
    rewards, terminated = sparse_labels(6, "success")
    returns = monte_carlo_returns(rewards, terminated, np.zeros(6, np.bool_), 0.5)
    np.testing.assert_array_equal(returns, np.float32([-1.75, -1.5, -1, 0, 0, 0]))


def test_returns_of_a_failure_are_those_of_failing_for_ever():
    rewards, terminated = sparse_labels(5, "failure")
    for truncated in (NEVER, np.arange(5) == 4):
        returns = monte_carlo_returns(rewards, terminated, truncated, 0.75)
        np.testing.assert_array_equal(returns, np.full(5, -4, np.float32))
    np.testing.assert_allclose(monte_carlo_returns(rewards, terminated, NEVER, 0.99), np.full(5, -100), rtol=1e-6)


def test_a_reward_for_failure_other_than_minus_one():
    """-5 a step at gamma 0.8: -5 / 0.2 = -25."""
    np.testing.assert_allclose(
        monte_carlo_returns(np.full(5, -5, np.float32), NEVER, NEVER, 0.8), np.full(5, -25), rtol=1e-6
    )


def test_termination_is_final_even_where_truncated_is_set():
    ends = np.arange(5) == 4
    returns = monte_carlo_returns(np.full(5, -1, np.float32), ends, ends, 0.5)
    np.testing.assert_array_equal(returns, [-1.9375, -1.875, -1.75, -1.5, -1])


def test_episodes_in_a_row_do_not_leak_into_each_other():
    """A success of 4 steps, a failure of 2, a success of 2 with one success frame; gamma 1/2."""
    rewards = np.float32([-1, 0, 0, 0, -1, -1, -1, 0])
    terminated = np.array([0, 1, 1, 1, 0, 0, 0, 1], np.bool_)
    truncated = np.array([0, 0, 0, 0, 0, 1, 0, 0], np.bool_)
    returns = monte_carlo_returns(rewards, terminated, truncated, 0.5)
    np.testing.assert_array_equal(returns, [-1, 0, 0, 0, -2, -2, -1, 0])


@given(length=st.integers(1, 60), gamma=st.floats(0, 0.999))
def test_returns_of_successes_follow_the_closed_form(length, gamma):
    """-(1 - gamma^k) / (1 - gamma), k steps before the first success frame (PA-RL)."""
    rewards, terminated = sparse_labels(length, "success")
    returns = monte_carlo_returns(rewards, terminated, np.zeros(length, np.bool_), gamma)
    k = np.maximum(length - 3 - np.arange(length), 0)
    np.testing.assert_allclose(returns, -(1 - gamma**k) / (1 - gamma), rtol=1e-5, atol=1e-6)


@given(length=st.integers(1, 60), gamma=st.floats(0, 0.999), outcome=st.sampled_from(["success", "failure"]))
def test_returns_satisfy_the_bellman_equation(length, gamma, outcome):
    rewards, terminated = sparse_labels(length, outcome)
    returns = monte_carlo_returns(rewards, terminated, np.zeros(length, np.bool_), gamma).astype(np.float64)
    tail = 0.0 if outcome == "success" else -1 / (1 - gamma)
    following = np.append(returns[1:], tail)
    np.testing.assert_allclose(returns, rewards + gamma * ~terminated * following, rtol=1e-5)


def test_relabelling_follows_the_judge():
    success = sample_episode(steps=5)
    failure = relabel(success, "failure")
    check_episode(failure, SPEC)
    assert (failure.outcome, failure.id) == ("failure", success.id)
    np.testing.assert_array_equal(failure.rewards, np.full(5, -1))
    np.testing.assert_array_equal(failure.truncated, [False, False, False, False, True])
    back = relabel(failure, "success")
    check_episode(back, SPEC)
    np.testing.assert_array_equal(back.rewards, success.rewards)
    np.testing.assert_array_equal(back.terminated, success.terminated)
    assert not back.truncated.any()
    assert back == replace(back)
    np.testing.assert_array_equal(success.rewards, [-1, -1, 0, 0, 0])


@pytest.mark.parametrize("outcome", ["success", "failure", "unknown"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_labels_that_follow_from_the_outcome_are_used_as_they_are(outcome, steps):
    episode = relabel(sample_episode(steps=steps), outcome)
    assert follow_outcome(episode)
    assert labelled(episode) is episode


@pytest.mark.parametrize("outcome", ["success", "failure", "unknown"])
@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("column", ["rewards", "terminated", "truncated"])
def test_a_single_label_that_does_not_follow_from_the_outcome_has_all_made_anew(outcome, at, column):
    right = relabel(sample_episode(steps=5), outcome)
    values = getattr(right, column).copy()
    values[at] = values[at] - 0.5 if column == "rewards" else not values[at]
    wrong = replace(right, **{column: values})
    assert not follow_outcome(wrong)
    for name in ("rewards", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(labelled(wrong), name), getattr(right, name), strict=True)


def test_another_outcome_changes_the_labels():
    success = relabel(sample_episode(steps=5), "success")
    for outcome in ("failure", "unknown"):
        changed = labelled(replace(success, outcome=outcome))
        np.testing.assert_array_equal(changed.rewards, np.full(5, -1, np.float32), strict=True)
        np.testing.assert_array_equal(changed.truncated, [False, False, False, False, True])


def test_senseless_arguments_are_refused():
    rewards = np.full(5, -1, np.float32)
    for gamma in (1.0, -0.1, float("nan")):
        with pytest.raises(InvalidEpisodeError, match="gamma"):
            monte_carlo_returns(rewards, NEVER, NEVER, gamma)
    with pytest.raises(InvalidEpisodeError, match="5, 4 and 5 steps"):
        monte_carlo_returns(rewards, NEVER[1:], NEVER, 0.9)
    for length, frames in ((0, 3), (5, 0)):
        with pytest.raises(InvalidEpisodeError, match="at least 1"):
            sparse_labels(length, "success", frames)
