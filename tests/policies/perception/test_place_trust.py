"""A place is believed as far as episodes bear it out whose places were hidden."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos, fake_text

from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_labels import PICK_SIZE
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoint_training import KeypointTraining
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.place_trust import HiddenPlaces, PlaceTrust, fit_trust, hidden_episodes
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames

MEAN = np.array([0.2, 0.1, 0.0], np.float32)


def quarter():
    """Two instructions: the first one's places are believed by a quarter, the second's wholly."""
    return PlaceTrust(np.stack([MEAN, np.zeros(3, np.float32)]), np.array([0.25, 1.0], np.float32))


def test_a_place_is_the_mean_and_as_much_of_the_difference_as_is_believed():
    seen = np.array([[0.28, 0.06, 0.02]] * 2, np.float32)
    assert np.allclose(quarter().shrunk(seen, np.array([0, 1])), [[0.22, 0.09, 0.005], [0.28, 0.06, 0.02]])
    odd = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    assert np.array_equal(PlaceTrust.whole(1).shrunk(odd, np.zeros(9, int)), odd)


def test_a_new_wording_is_taken_as_the_nearest_known_one():
    text = np.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.2], [-0.3, 0.8]], np.float32)
    longer = quarter().extended(text)
    assert longer.trust.tolist() == [0.25, 1.0, 1.0, 0.25]
    assert np.array_equal(longer.mean[3], MEAN)
    assert np.array_equal(quarter().extended(text[:2]).trust, quarter().trust)


def test_a_fourth_of_the_episodes_is_hidden_two_at_least_and_none_of_fewer_than_four():
    episode = np.repeat(np.arange(20 + 4 + 3), 2)  # 20 of the first group, 4 of the second, 3 of the third
    instruction = np.repeat([0] * 20 + [1] * 4 + [2] * 3, 2)
    known = np.ones(len(episode), bool)
    groups = {"many": [0], "four": [1], "three": [2]}
    hidden = hidden_episodes(episode, instruction, known, groups, seed=0)
    assert [np.isin(hidden, numbers).sum() for numbers in (range(20), range(20, 24), range(24, 27))] == [5, 2, 0]
    assert np.array_equal(hidden, hidden_episodes(episode, instruction, known, groups, seed=0))
    known[:30] = False  # the first 15 show no place
    assert min(hidden_episodes(episode, instruction, known, {"many": [0]}, seed=0)) >= 15
    assert len(hidden_episodes(episode, instruction, known, {}, seed=0)) == 0


def test_an_episode_that_shows_both_directions_places_is_chosen_once():
    episode, instruction = np.repeat(np.arange(8), 2), np.tile([0, 1], 8)
    hidden = hidden_episodes(episode, instruction, np.ones(16, bool), {"there": [0], "back": [1]}, seed=3)
    assert len(hidden) == 2


def places(seen, true, copies=1):
    """Hidden places about `MEAN` in the plane, each under as many wordings, which change nothing on average."""
    count = len(seen)
    around = np.zeros((copies, 1, 3), np.float32)
    around[:, 0, 0] = np.linspace(-0.03, 0.03, copies) if copies > 1 else 0.0
    spread = np.concatenate([np.asarray(seen), np.zeros((count, 1))], axis=1)[None] + around
    truly = np.concatenate([np.asarray(true), np.zeros((count, 1))], axis=1) + MEAN
    return HiddenPlaces(
        np.tile(np.arange(count), copies),
        np.repeat(np.arange(copies), count),
        (spread.reshape(-1, 3) + MEAN).astype(np.float32),
        np.tile(truly, (copies, 1)).astype(np.float32),
    )


def test_trust_is_the_slope_less_its_error_by_hand():
    seen = [[0.02, 0.0], [-0.02, 0.04]]
    exact = places(seen, [[0.01, 0.0], [-0.01, 0.02]], copies=3)
    assert exact.slope([0, 1, 2], MEAN) == pytest.approx((0.5, 0.0), abs=1e-5)
    true = [[0.02, 0.01], [-0.02, 0.02]]
    # said.was = 4e-4 + 4e-4 + 8e-4 = 16e-4, said.said = 24e-4: slope 2/3; left: 1/150, 1e-2, -1/150, -1/150
    error = np.sqrt((3 * (1 / 150) ** 2 + 1e-4) / 3 / 24e-4)
    assert places(seen, true).slope([0], MEAN) == pytest.approx((2 / 3, error), abs=1e-5)
    trust = fit_trust(places(seen, true), {"there": MEAN}, {"there": [0, 2], "back": [1]}, count=3)
    assert trust.trust == pytest.approx([2 / 3 - error, 1.0, 2 / 3 - error], abs=1e-5)
    assert np.array_equal(trust.mean[2], MEAN)


def test_what_points_the_wrong_way_is_not_believed_and_what_is_too_cautious_no_more_than_seen():
    seen = [[0.02, 0.0], [-0.02, 0.04], [0.0, -0.03]]
    for factor, expected in ((-1.0, 0.0), (3.0, 1.0)):
        found = fit_trust(places(seen, factor * np.array(seen)), {"there": MEAN}, {"there": [0]}, count=1)
        assert found.trust[0] == expected


def test_one_hidden_episode_measures_nothing():
    assert fit_trust(places([[0.02, 0.0]], [[0.0, 0.0]]), {"there": MEAN}, {"there": [0]}, 1).trust[0] == 1.0


@pytest.fixture(scope="module")
def shown():
    """Labelled frames of discs whose places can be seen, their table of instructions, and one group of them all."""
    episodes = demos(80, seed=0)
    text = TextTable.build({e.instruction for e in episodes}, fake_text, "fake")
    frames = keypoint_frames(episodes, 5000, text, "front", SPEC.proprio)
    frames = replace(frames, proprio=ProprioScaling.fit(frames.proprio).apply(frames.proprio))
    return frames, {name: [row] for row, name in enumerate(text.instructions)}


def trained(frames, config, groups, steps=None):
    training = KeypointTraining(frames, config, 0, groups)
    while training.step < (config.steps if steps is None else steps):
        training.update()
    return training


def by_chance(frames):
    """The same frames with a place anywhere, the same in all frames of an episode."""
    values = frames.values.copy()
    anywhere = np.random.default_rng(1).uniform([0.2, -0.1, 0.0], [0.4, 0.1, 0.1], (frames.episode.max() + 1, 3))
    values[:, PICK_SIZE:] = anywhere[frames.episode]
    return replace(frames, values=values.astype(np.float32))


def test_places_by_chance_are_not_believed(shown):
    frames, groups = shown
    trust = trained(by_chance(frames), KeypointConfig(steps=80, batch=32), groups).place_trust()
    assert trust.trust.max() < 0.4
    assert trust.trust.mean() < 0.2


def test_places_that_can_be_seen_are_believed(shown):
    """Where the disc lies as the episode begins is in the picture, and is what the place is made to be here."""
    frames, groups = shown
    values = frames.values.copy()
    _, first, row = np.unique(frames.episode, return_index=True, return_inverse=True)
    values[:, PICK_SIZE:] = values[first, :3][row]
    trust = trained(replace(frames, values=values), KeypointConfig(steps=120, batch=32), groups).place_trust()
    assert trust.trust.mean() > 0.5


def test_errors_are_of_places_as_they_are_believed(shown):
    frames, groups = shown
    training = KeypointTraining(frames, KeypointConfig(holdout=0.2), 0, groups)
    nothing = PlaceTrust(np.tile(MEAN, (len(groups), 1)), np.zeros(len(groups), np.float32))
    held = training._held[frames.mask[training._held, PICK_SIZE] > 0]
    apart = 100 * np.linalg.norm(frames.values[held, PICK_SIZE:] - MEAN, axis=1).mean()
    believed, seen = training.errors(nothing), training.errors()
    assert believed.place_cm == pytest.approx(apart, rel=1e-4) != pytest.approx(seen.place_cm, rel=1e-4)
    assert believed.pick_cm == seen.pick_cm


def test_the_network_is_the_one_that_there_would_be_without(shown):
    frames, groups = shown
    config = KeypointConfig(steps=3, batch=8)
    plain, beside = (trained(frames, config, chosen).net.state_dict() for chosen in ({}, groups))
    assert all(torch.equal(plain[name], beside[name]) for name in plain)


def test_hidden_places_teach_nothing(shown):
    """Whatever the hidden labels are, the second network says the same."""
    frames, groups = shown
    config = KeypointConfig(steps=3, batch=32)
    training = trained(frames, config, groups)
    values = frames.values.copy()
    values[training._hidden, PICK_SIZE:] += 0.01
    # the scale of labels is that of all places, which both networks share: only weights are compared after it is set
    other = KeypointTraining(replace(frames, values=values), config, 0, groups)
    for learning in (other._first, other._blind):
        learning.net.label_mean.copy_(training.net.label_mean)
        learning.net.label_scale.copy_(training.net.label_scale)
    while other.step < 3:
        other.update()
    blind, same = training._blind.net.state_dict(), other._blind.net.state_dict()
    assert all(torch.equal(blind[name], same[name]) for name in blind)
    assert not torch.equal(training.net.head[-1].weight, other.net.head[-1].weight)


def test_training_goes_on_to_the_bit_with_the_blind_network(shown):
    frames, groups = shown
    config = KeypointConfig(steps=6, batch=8)
    whole = trained(frames, config, groups).place_trust()
    tensors, header = trained(frames, config, groups, steps=3).state()
    again = KeypointTraining(frames, config, 0, groups)
    again.load_state(tensors, header)
    while again.step < 6:
        again.update()
    assert np.array_equal(again.place_trust().trust, whole.trust)
    assert np.array_equal(again.place_trust().mean, whole.mean)


def perception(trust):
    episodes = demos(4, seed=0)
    text = TextTable.build({e.instruction for e in episodes}, fake_text, "fake")
    torch.manual_seed(0)
    net = KeypointNet(KeypointNetConfig(64, len(SPEC.proprio), text.rows.shape[1]))
    scaling = ProprioScaling.fit(np.concatenate([e.proprio for e in episodes]))
    return KeypointPerception(net, scaling, text, SPEC, "front", trust=trust), episodes


def test_a_policy_sees_and_keeps_the_place_that_is_believed(tmp_path):
    plain, episodes = perception(None)
    count = len(plain.text.instructions)
    nothing = PlaceTrust(np.tile(MEAN, (count, 1)), np.zeros(count, np.float32))
    told, _ = perception(nothing)
    episode = episodes[0]
    rows = np.full(len(episode.proprio), told.text.row(episode.instruction))
    points = told.keypoints(episode.images["front"], episode.proprio, rows)
    assert np.allclose(points[:, PICK_SIZE:], MEAN)
    assert np.array_equal(points[:, :PICK_SIZE], plain.keypoints(episode.images["front"], episode.proprio, rows)[:, :5])
    assert told.digest != plain.digest
    told.save(tmp_path)
    again = KeypointPerception.load(tmp_path, SPEC)
    assert again.digest == told.digest
    assert np.array_equal(again.episode(episode), told.episode(episode))


def test_where_everything_is_believed_a_policy_is_the_one_of_before():
    plain, _ = perception(None)
    whole, _ = perception(PlaceTrust.whole(len(plain.text.instructions)))
    assert whole.digest == plain.digest
