"""Potential-based shaping by hand: what it gains, and that nothing is gained by going round in a circle."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import demos

from policies.policy import load_policy
from policies.replay.dataset import for_replay
from policies.replay.known_progress import gained
from policies.replay.shaping import NO_SHAPING, Labels, Shaping
from trajectories.errors import ConfigError, InvalidEpisodeError
from trajectories.labels import monte_carlo_returns, sparse_labels

GAMMA = 0.9


def labels_of(outcome="success"):
    """Of four steps, of which the last one terminates if it succeeded."""
    rewards, terminated = sparse_labels(4, outcome, success_frames=1)
    truncated = np.array([False, False, False, outcome != "success"])
    return Labels(rewards, terminated, monte_carlo_returns(rewards, terminated, truncated, GAMMA))


def shaped_by(weight, progress, labels):
    return Shaping(weight).shaped(labels, {"progress": progress}, "it", GAMMA)


def test_a_success_by_hand():
    labels = labels_of()
    shaped = shaped_by(2.0, [0.0, 0.25, 0.5, 0.75, 1.0], labels)
    phi = [0.0, 0.5, 1.0, 1.5]
    expected = [-1 + 0.9 * 0.5 - 0.0, -1 + 0.9 * 1.0 - 0.5, -1 + 0.9 * 1.5 - 1.0, 0.0 - 1.5]
    assert shaped.rewards == pytest.approx(expected, abs=1e-6)
    assert shaped.mc_returns == pytest.approx(labels.mc_returns - phi, abs=1e-6)
    again = monte_carlo_returns(shaped.rewards, shaped.terminated, np.zeros(4, bool), GAMMA)
    assert again == pytest.approx(shaped.mc_returns, abs=1e-5)  # the returns are those of the shaped rewards
    assert NO_SHAPING.shaped(labels, {}, "it", GAMMA) is labels


def test_a_circle_gains_nothing():
    """The discounted sum of what is added on the way round is that of standing still, however high it went."""
    labels = labels_of("failure")
    around, still = (
        sum(GAMMA**t * gain for t, gain in enumerate(shaped_by(10.0, progress, labels).rewards - labels.rewards))
        for progress in ([0.3, 0.9, 0.1, 0.8, 0.3], [0.3] * 5)
    )
    assert around == pytest.approx(10.0 * (GAMMA**4 * 0.3 - 0.3), abs=1e-5)
    assert around == pytest.approx(still, abs=1e-5)


def test_what_isnt_known_is_what_was_before_and_nothing_at_all_is_refused():
    labels = labels_of("failure")
    added = shaped_by(1.0, [None, 0.5, None, 0.5, None], labels).rewards - labels.rewards
    assert added == pytest.approx([0.45, -0.05, -0.05, -0.05], abs=1e-6)
    with pytest.raises(ConfigError, match=r"reward\.window=8"):
        Shaping(1.0).shaped(labels, {}, "it", GAMMA)
    with pytest.raises(InvalidEpisodeError, match="expected 5 numbers from 0 to 1"):
        shaped_by(1.0, [0.5, 2.0, 0, 0, 0], labels)
    with pytest.raises(ConfigError, match="expected 0"):
        Shaping(-1.0)


def test_what_steps_gain_by_hand():
    assert gained({"progress": [None, 0.25, 0.75, None, 0.5]}, 4, "it") == pytest.approx([0.25, 0.5, 0.0, 0.0])
    with pytest.raises(ConfigError, match=r"which finetune\.progress_weight needs.*or give finetune\.progress"):
        gained({}, 4, "it")


def test_replay_takes_the_shaped_labels(pretrained):
    episode = demos(1, seed=3)[0]
    noted = replace(episode, metadata={"progress": np.linspace(0, 1, len(episode) + 1).tolist()})
    perception = load_policy(pretrained).perception
    plain, shaped = (for_replay(noted, perception, GAMMA, way) for way in (NO_SHAPING, Shaping(5.0)))
    added = shaped.rewards - plain.rewards
    assert (added[~plain.terminated] > 0).any()
    assert (added[plain.terminated] < 0).all()
    assert np.array_equal(shaped.terminated, plain.terminated)
