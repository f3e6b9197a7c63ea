"""Potential-based shaping by hand: what it gains, and that nothing is gained by going round in a circle."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import demos

from policies.replay.dataset import ReplayEpisode
from policies.replay.shaping import NO_SHAPING, Shaping
from trajectories.errors import ConfigError, InvalidEpisodeError
from trajectories.labels import monte_carlo_returns, relabel

GAMMA = 0.9
STEPS = ("executed", "proposed", "rewards", "terminated", "truncated", "source", "policy_version")


def encoded_with(progress, outcome="success"):
    """An episode of four steps, of which the last terminates, and what replay takes of it."""
    episode = demos(1, seed=3)[0]
    cut = replace(
        episode,
        **{name: getattr(episode, name)[:4] for name in STEPS},
        **{name: getattr(episode, name)[:5] for name in ("proprio", "success_probability")},
        images={name: images[:5] for name, images in episode.images.items()},
        t_ns={name: times[:5] for name, times in episode.t_ns.items()},
        metadata={} if progress is None else {"progress": progress},
    )
    cut = relabel(cut, outcome, success_frames=1)
    returns = monte_carlo_returns(cut.rewards, cut.terminated, cut.truncated, GAMMA)
    taken = ReplayEpisode(
        {}, cut.executed, cut.rewards, cut.terminated, cut.truncated, returns, cut.source, (0,), np.zeros(4, bool)
    )
    return taken, cut


def test_a_success_by_hand():
    encoded, episode = encoded_with([0.0, 0.25, 0.5, 0.75, 1.0])
    shaped = Shaping(2.0).shaped(encoded, episode, GAMMA)
    phi = [0.0, 0.5, 1.0, 1.5]
    expected = [-1 + 0.9 * 0.5 - 0.0, -1 + 0.9 * 1.0 - 0.5, -1 + 0.9 * 1.5 - 1.0, 0.0 - 1.5]
    assert shaped.rewards == pytest.approx(expected, abs=1e-6)
    assert shaped.mc_returns == pytest.approx(encoded.mc_returns - phi, abs=1e-6)
    again = monte_carlo_returns(shaped.rewards, shaped.terminated, shaped.truncated, GAMMA)
    assert again == pytest.approx(shaped.mc_returns, abs=1e-5)  # the returns are those of the shaped rewards
    assert NO_SHAPING.shaped(encoded, episode, GAMMA) is encoded


def test_a_circle_gains_nothing():
    """The discounted sum of what is added on the way round is 0, however high it went."""
    encoded, episode = encoded_with([0.3, 0.9, 0.1, 0.8, 0.3], outcome="failure")
    gained = Shaping(10.0).shaped(encoded, episode, GAMMA).rewards - encoded.rewards
    around = sum(GAMMA**t * gain for t, gain in enumerate(gained))
    assert around == pytest.approx(10.0 * (GAMMA**4 * 0.3 - 0.3), abs=1e-5)
    still, episode = encoded_with([0.3] * 5, outcome="failure")
    stood = Shaping(10.0).shaped(still, episode, GAMMA).rewards - still.rewards
    assert around == pytest.approx(sum(GAMMA**t * gain for t, gain in enumerate(stood)), abs=1e-5)


def test_what_isnt_known_is_what_was_before_and_nothing_at_all_is_refused():
    encoded, episode = encoded_with([None, 0.5, None, 0.5, None], outcome="failure")
    gained = Shaping(1.0).shaped(encoded, episode, GAMMA).rewards - encoded.rewards
    assert gained == pytest.approx([0.45, -0.05, -0.05, -0.05], abs=1e-6)
    with pytest.raises(ConfigError, match=r"reward\.window=8"):
        Shaping(1.0).shaped(*encoded_with(None), GAMMA)
    with pytest.raises(InvalidEpisodeError, match="expected 5 numbers from 0 to 1"):
        Shaping(1.0).shaped(*encoded_with([0.5, 2.0, 0, 0, 0]), GAMMA)
    with pytest.raises(ConfigError, match="expected 0"):
        Shaping(-1.0)
