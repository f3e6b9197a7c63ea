"""Draws by source: a person's steps k times as often as the policy's, whatever was dropped meanwhile."""

import math

import numpy as np
import pytest
import torch
from helpers.replay_world import assert_same, episode, make

from policies.replay.mixed_replay import MixedReplay
from policies.replay.source_weights import SourceWeights, covering
from trajectories.errors import ConfigError
from trajectories.types import Source

POLICY, PERSON, EXPERT = (np.uint8(entry) for entry in (Source.POLICY, Source.PERSON, Source.EXPERT))


def filled(weights, capacity=1000, episodes=9, seed=0):
    """Episodes of 10 steps of policy, person and expert in turn; with episodes=9, 30 steps of each."""
    replay = make(capacity, weights=weights, seed=seed)
    for number in range(episodes):
        replay.add_episode(**episode(number, 10))
    return replay


def shares(batch):
    return [(batch.source == source).float().mean().item() for source in Source]


def expected_counts(weights, source, draws):
    """Draws of each transition, from the definition: proportional to the weight of its source."""
    chance = np.array([(weights.policy, weights.person, weights.expert)[s] for s in source])
    return draws * chance / chance.sum()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (SourceWeights(person=4.0), [1 / 6, 4 / 6, 1 / 6]),
        (SourceWeights(policy=1.0, person=2.5, expert=0.5), [1 / 4, 2.5 / 4, 0.5 / 4]),
        (SourceWeights(policy=0.0), [0.0, 0.5, 0.5]),
        (SourceWeights(policy=0.0, expert=0.0), [0.0, 1.0, 0.0]),
    ],
)
def test_shares_are_weights_times_transitions(weights, expected):
    draws = 20_000
    for share, wanted in zip(shares(filled(weights).sample(draws)), expected, strict=True):
        assert abs(share - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / draws)


@pytest.mark.parametrize("capacity", [1000, 60, 47])
def test_every_transition_has_its_own_chance_also_after_others_were_dropped(capacity):
    """Takeovers in the middle of episodes; the rings go around several times in the smaller replays."""
    weights = SourceWeights(person=3.0, expert=0.5)
    replay = make(capacity, weights=weights)
    rng = np.random.default_rng(3)
    for number in range(20):
        replay.add_episode(**episode(number, 8, source=rng.integers(0, 3, 8).astype(np.uint8)))
    index = torch.arange(replay.added - len(replay), replay.added)
    draws = 200_000
    counts = torch.bincount(replay.draw(draws) - index[0], minlength=len(replay)).numpy()
    assert len(counts) == len(replay)
    expected = expected_counts(weights, replay.gather(index).source.numpy(), draws)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("capacity", [1000, 47])
def test_steps_that_gained_progress_are_drawn_more_often(capacity):
    weights = SourceWeights(person=3.0, progress=10.0)
    replay, rng = make(capacity, weights=weights), np.random.default_rng(3)
    kept = []
    for number in range(20):
        source, gain = rng.integers(0, 3, 8).astype(np.uint8), rng.uniform(0, 0.5, 8).astype(np.float32)
        replay.add_episode(**episode(number, 8, source=source, gain=gain, instruction=[number, number + 1]))
        kept.append((source, gain))
    held = len(replay) // 8
    chance = [np.tile(np.array([1.0, 3.0, 1.0])[source] * (1 + 10 * gain), 2) for source, gain in kept[-held // 2 :]]
    expected = 200_000 * np.concatenate(chance) / np.sum(chance)
    counts = torch.bincount(replay.draw(200_000) - (replay.added - len(replay)), minlength=len(replay)).numpy()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_gains_of_nothing_draw_as_sources_alone_do_and_are_needed_where_they_count():
    plain, weighted = make(weights=SourceWeights(person=2.0)), make(weights=SourceWeights(person=2.0, progress=5.0))
    for number in range(3):
        plain.add_episode(**episode(number, 10, gain=np.ones(10, np.float32)))  # none that counts
        weighted.add_episode(**episode(number, 10, gain=np.zeros(10, np.float32)))
    assert_same(plain.sample(100), weighted.sample(100))
    for wrong in (None, np.zeros(9, np.float32), np.full(10, -0.1, np.float32), np.full(10, np.nan, np.float32)):
        with pytest.raises(ConfigError, match="gain"):
            weighted.add_episode(**episode(3, 10, gain=wrong))


def test_a_source_of_which_nothing_is_held_leaves_its_draws_to_the_others():
    replay = make(weights=SourceWeights(person=100.0))
    replay.add_episode(**episode(0, 10))
    replay.add_episode(**episode(2, 10))
    assert shares(replay.sample(4000))[Source.PERSON] == 0.0
    assert abs(shares(replay.sample(4000))[Source.POLICY] - 0.5) < 0.04


def test_only_sources_of_weight_zero_are_an_error():
    replay = make(weights=SourceWeights(policy=0.0))
    replay.add_episode(**episode(0, 10))
    with pytest.raises(ConfigError, match="weight is 0"):
        replay.sample(4)
    replay.add_episode(**episode(1, 1))
    assert replay.draw(50).tolist() == [10] * 50


def test_steps_of_weight_zero_at_both_ends_are_never_drawn():
    replay = make(weights=SourceWeights(policy=0.0))
    source = np.array([POLICY, POLICY, PERSON, POLICY, EXPERT, POLICY])
    replay.add_episode(**episode(0, 6, source=source))
    assert set(replay.draw(2000).tolist()) == {2, 4}


@pytest.mark.parametrize("cuts", [[], [2], [1, 3]])
def test_a_point_belongs_to_the_transition_that_covers_it(cuts):
    """Weights 0, 1, 4, 0, 1, 0 after 2 that were dropped; at the very end a draw was rounded up."""
    sums = torch.tensor([2, 3, 7, 7, 8, 8], dtype=torch.float64).tensor_split(cuts)
    points = torch.tensor([2.0, 2.999, 3.0, 6.999, 7.0, 7.999, 8.0], dtype=torch.float64)
    assert covering(points, sums).tolist() == [1, 1, 2, 2, 4, 4, 4]


def test_equal_weights_draw_exactly_as_none_do():
    assert_same(filled(None).sample(100), filled(SourceWeights(2.0, 2.0, 2.0)).sample(100))


def test_a_person_takes_priority_within_a_fixed_share_of_offline_data():
    offline = make()
    offline.add_episode(**episode(11, 10))  # an expert's
    online = make(weights=SourceWeights(person=9.0))
    online.add_episode(**episode(0, 10))
    online.add_episode(**episode(1, 10))
    batch = MixedReplay(online, offline, 0.25).sample(8000)
    assert (batch.source == EXPERT).sum() == 2000
    person = shares(batch)[Source.PERSON]
    assert abs(person - 0.75 * 0.9) < 4 * math.sqrt(0.9 * 0.1 / 6000)


def test_restored_draws_by_source_go_on_as_before():
    weights = SourceWeights(person=1.7, expert=0.3)
    first, second = filled(weights, seed=1), filled(weights, seed=2)
    first.sample(7)
    second.load_state_dict(first.state_dict())
    assert_same(first.sample(64), second.sample(64))


@pytest.mark.parametrize("wrong", [{"person": -1.0}, {"person": math.inf}, {"expert": math.nan}])
def test_weights_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="finite numbers of at least 0"):
        SourceWeights(**wrong)


def test_some_source_must_have_a_weight():
    with pytest.raises(ConfigError, match="one above"):
        SourceWeights(0.0, 0.0, 0.0)
