"""Monte-Carlo returns, by hand."""

import numpy as np
import pytest

from trajectories.errors import ConfigError
from trajectories.flat.returns import returns_to_go
from trajectories.labels import monte_carlo_returns

REWARDS = np.array([1.0, 2.0, 4.0], np.float32)


def test_nothing_follows_a_termination():
    for tail in ("repeat", "zero"):
        np.testing.assert_array_equal(returns_to_go(REWARDS, True, 0.5, tail), [1 + 0.5 * (2 + 0.5 * 4), 4, 4])


def test_after_a_cut_the_last_reward_goes_on_or_not():
    # 4 / (1 - 0.5) = 8; 2 + 0.5 * 8 = 6; 1 + 0.5 * 6 = 4
    np.testing.assert_array_equal(returns_to_go(REWARDS, False, 0.5, "repeat"), [4, 6, 8])
    np.testing.assert_array_equal(returns_to_go(REWARDS, False, 0.5, "zero"), [3, 4, 4])


def test_a_sparse_failure_costs_the_same_at_every_step():
    returns = returns_to_go(np.full(50, -1, np.float32), False, 0.99, "repeat")
    np.testing.assert_allclose(returns, -100.0, rtol=1e-6)


def test_repeat_is_the_convention_of_the_robots_episodes():
    rewards = np.random.default_rng(0).normal(size=7).astype(np.float32)
    for ended in (True, False):
        terminated, truncated = np.zeros(7, bool), np.zeros(7, bool)
        terminated[-1], truncated[-1] = ended, not ended
        np.testing.assert_array_equal(
            returns_to_go(rewards, ended, 0.97, "repeat"), monte_carlo_returns(rewards, terminated, truncated, 0.97)
        )


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"gamma=1\.0"):
        returns_to_go(REWARDS, True, 1.0, "zero")
    with pytest.raises(ConfigError, match="expected one of repeat, zero"):
        returns_to_go(REWARDS, True, 0.9, "mean")
