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
from policies.perception.place_trust import FOLDS, PlaceTrust, ShownPlaces, fit_trust, slope_of
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames
from trajectories.errors import CheckpointError

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


def told(episode, instruction, pick, place, place_known=None):
    """Shown places of frames with these labels in the plane; `place_known` per frame, all by default."""
    values = np.zeros((len(episode), 8), np.float32)
    values[:, :2], values[:, PICK_SIZE : PICK_SIZE + 2] = pick, place
    mask = np.ones_like(values)
    mask[:, PICK_SIZE:] = 1.0 if place_known is None else np.asarray(place_known)[:, None]
    return ShownPlaces.of(np.asarray(episode), np.asarray(instruction), values, mask)


def test_a_place_is_one_a_copy_known_from_its_first_frame_on_and_not_where_the_object_lies():
    episode = [0, 0, 1, 1, 2, 2, 3, 3, 0, 0]
    instruction = [0] * 8 + [1, 1]
    pick = [[0.2, 0.1], [0.3, 0.0]] * 2 + [[0.305, 0.0], [0.3, 0.0]] + [[0.2, 0.1]] * 2 + [[0.2, 0.1], [0.3, 0.0]]
    place = [[0.3, 0.0]] * 6 + [[0.3, 0.0], [0.35, 0.0]] + [[0.3, 0.0]] * 2  # 3: a tool's strokes end in two places
    shown = told(episode, instruction, pick, place, [1, 1, 0, 1, 1, 1, 1, 1, 1, 1])  # 1: not known at first
    assert shown.episode.tolist() == [0, 0]  # 2 begins done the other way: its object lies at its place
    assert shown.instruction.tolist() == [0, 1]
    assert shown.frame.tolist() == [0, 8]
    assert np.allclose(shown.place[:, :2], [0.3, 0.0])


def groups_of(**counts):
    """Shown places of so many episodes for each group, and the groups; rows 0, 1, ..."""
    total = sum(counts.values())
    rows = np.repeat(np.arange(len(counts)), list(counts.values()))
    shown = told(np.arange(total), rows, np.zeros((total, 2)), np.full((total, 2), 0.3))
    return shown, {name: [row] for row, name in enumerate(counts)}


def test_every_episode_is_in_one_part_and_none_of_a_group_that_is_too_small():
    shown, groups = groups_of(many=21, four=4, three=3)
    parts = shown.dealt(groups, seed=0)
    assert len(parts) == FOLDS == 2
    counts = [[int(np.isin(part, numbers).sum()) for part in parts] for numbers in (range(21), range(21, 25))]
    assert [sorted(count) for count in counts] == [[10, 11], [2, 2]]
    assert sum(len(part) for part in parts) == len(np.unique(np.concatenate(parts))) == 25
    again, other = shown.dealt(groups, seed=0), shown.dealt(groups, seed=1)
    assert all(np.array_equal(*pair) for pair in zip(parts, again, strict=True))
    assert not np.array_equal(parts[0], other[0])
    assert shown.dealt({}, seed=0) == shown.dealt({"three": groups["three"]}, seed=0) == ()


def test_an_episode_that_shows_both_directions_places_is_dealt_once_and_each_direction_evenly():
    numbers, rows = np.arange(8).repeat(2), np.tile([0, 1], 8)
    shown = told([*numbers, 8, 9, 10, 11], [*rows, 1, 1, 1, 1], np.zeros((20, 2)), np.full((20, 2), 0.3))
    parts = shown.dealt({"there": [0], "back": [1]}, seed=3)
    assert sorted(np.concatenate(parts).tolist()) == [*range(12)]
    assert [int((part < 8).sum()) for part in parts] == [4, 4]
    assert [len(part) for part in parts] == [6, 6]


def around(seen, true, copies=1):
    """What is seen and true in the plane, about their mean, under as many wordings, which change nothing on average."""
    count = len(seen)
    more = np.linspace(-0.03, 0.03, copies) if copies > 1 else np.zeros(1)
    said = np.concatenate([np.pad(np.asarray(seen), ((0, 0), (0, 1))) + np.array([each, 0.0, 0.0]) for each in more])
    was = np.tile(np.pad(np.asarray(true), ((0, 0), (0, 1))), (copies, 1))
    return said.astype(np.float32), was.astype(np.float32), np.tile(np.arange(count), copies)


def test_the_slope_and_its_error_by_hand():
    seen = [[0.02, 0.0], [-0.02, 0.04]]
    assert slope_of(*around(seen, [[0.01, 0.0], [-0.01, 0.02]], copies=3)) == pytest.approx((0.5, 0.0), abs=1e-5)
    true = [[0.02, 0.01], [-0.02, 0.02]]
    # said.was = 4e-4 + 4e-4 + 8e-4 = 16e-4, said.said = 24e-4: slope 2/3; left: 1/150, 1e-2, -1/150, -1/150
    error = np.sqrt((3 * (1 / 150) ** 2 + 1e-4) / 2 / 24e-4)
    # one degree of freedom is Cauchy's distribution: the quantile at 0.84134 is tan(pi (0.84134 - 1/2))
    assert slope_of(*around(seen, true)) == pytest.approx((2 / 3, 1.8373 * error), rel=1e-4)
    assert np.isnan(slope_of(*around(seen[:1], true[:1]))[0])


NONE = np.array([], int)


def fitted(seen, true, groups, count):
    """Trust from one frame an episode, the even ones hidden from one network, the odd ones from the other."""
    said, was, numbers = around(seen, true)
    shown = told(numbers, np.zeros(len(seen), int), np.full((len(seen), 2), 9.0), was[:, :2] + MEAN[:2])
    return fit_trust(shown, said + MEAN, [numbers[::2], numbers[1::2]], NONE, groups, count)


def test_trust_is_the_slope_less_its_error_between_nothing_and_all():
    seen = np.array([[0.02, 0.0], [0.02, 0.0], [-0.02, 0.04], [-0.02, 0.04], [0.0, -0.04], [0.0, -0.04]])
    # each half is about a mean of 0, as what is true then is
    for factor, expected in ((-1.0, 0.0), (0.5, 0.5), (3.0, 1.0)):
        found = fitted(seen, factor * seen, {"there": [0, 2], "back": [1]}, count=3)
        assert found.trust == pytest.approx([expected, 1.0, expected], abs=1e-4)
        assert found.measured == pytest.approx({"there": expected}, abs=1e-4)
        assert np.allclose(found.mean[[0, 2], :2], MEAN[:2], atol=1e-6)


def test_fewer_than_two_hidden_episodes_a_network_measure_nothing():
    for count in (1, 2, 3):
        found = fitted([[0.02, 0.0]] * count, [[0.0, 0.0]] * count, {"there": [0], "nobody": []}, 1)
        assert found.trust[0] == 1.0
        assert found.measured == {}
    assert fitted([[0.02, 0.0]] * 4, [[0.0, 0.0]] * 4, {"there": [0]}, 1).measured == {"there": 0.0}


def test_what_a_network_says_counts_from_the_mean_of_what_it_learned():
    """It knows its own half's mean and nine tenths of what lies beside it; about the mean of all that looks less."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 0.01, (12, 2)) + np.where(np.arange(12)[:, None] % 2, 0.01, -0.01)
    own = np.where(np.arange(12)[:, None] % 2, true[::2].mean(0), true[1::2].mean(0))
    assert fitted(own + 0.9 * (true - own), true, {"there": [0]}, 1).trust[0] == 1.0
    assert fitted(own + 2.0 * (true - own), true, {"there": [0]}, 1).trust[0] == pytest.approx(0.5, abs=1e-4)
    assert fitted(own, true, {"there": [0]}, 1).trust[0] == 0.0


def test_episodes_that_no_network_learned_are_no_part_of_its_mean():
    true = np.array([[0.0, 0.0], [0.0, 0.0], [0.02, 0.0], [0.02, 0.0], [0.5, 0.0], [0.5, 0.0]])
    numbers = np.arange(6)
    shown = told(numbers, np.zeros(6, int), np.full((6, 2), 9.0), true)
    said = np.pad(np.array([[0.01, 0.0]] * 6) + 2.0 * (true - [0.01, 0.0]), ((0, 0), (0, 1))).astype(np.float32)
    found = fit_trust(shown, said, [numbers[::2], numbers[1::2]], np.array([4, 5]), {"there": [0]}, 1)
    assert found.trust[0] == pytest.approx(0.5, abs=1e-4)


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
    assert set(trust.measured) == set(groups)
    assert trust.trust.max() < 0.4
    assert trust.trust.mean() < 0.2


def test_places_that_can_be_seen_are_believed(shown):
    """Where the disc lies as the episode begins is in the picture; the place is made to be 5 cm beside it here."""
    frames, groups = shown
    values = frames.values.copy()
    _, first, row = np.unique(frames.episode, return_index=True, return_inverse=True)
    values[:, PICK_SIZE:] = (values[first, :3] + np.float32([0.05, 0.0, 0.0]))[row]
    trust = trained(replace(frames, values=values), KeypointConfig(steps=120, batch=32), groups).place_trust()
    assert set(trust.measured) == set(groups)
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


@pytest.mark.parametrize("part", range(FOLDS))
def test_hidden_places_teach_nothing(shown, part):
    """Whatever the labels of a part are, the network that is blind to it says the same, and the others don't."""
    frames, groups = shown
    config = KeypointConfig(steps=3, batch=32)
    training = trained(frames, config, groups)
    values = frames.values.copy()
    values[np.isin(frames.episode, training._hidden[part]), PICK_SIZE:] += 0.01
    # the scale of labels is that of all places, which all networks share: only weights are compared after it is set
    other = KeypointTraining(replace(frames, values=values), config, 0, groups)
    for learning in (other._first, *other._blind):
        learning.net.label_mean.copy_(training.net.label_mean)
        learning.net.label_scale.copy_(training.net.label_scale)
    while other.step < 3:
        other.update()
    for number, (one, same) in enumerate(zip(training._blind, other._blind, strict=True)):
        alike = [torch.equal(tensor, same.net.state_dict()[name]) for name, tensor in one.net.state_dict().items()]
        assert all(alike) == (number == part)
    assert not torch.equal(training.net.head[-1].weight, other.net.head[-1].weight)


def test_training_goes_on_to_the_bit_with_the_blind_networks(shown):
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


def test_a_training_that_was_measured_otherwise_is_refused_and_says_what_to_do(shown):
    frames, groups = shown
    config = KeypointConfig(steps=6, batch=8)
    tensors, header = trained(frames, config, groups, steps=1).state()
    old = {name: value for name, value in header.items() if name != "place_parts"}
    with pytest.raises(CheckpointError, match=r"hid a fourth of the places.*Delete the policy's training/"):
        KeypointTraining(frames, config, 0, groups).load_state(tensors, old)
    KeypointTraining(frames, config, 0).load_state(tensors, old)  # without places to shrink nothing has changed


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
    means = MEAN + 0.01 * np.arange(count, dtype=np.float32)[:, None]
    told, _ = perception(PlaceTrust(means, np.linspace(0.0, 0.9, count, dtype=np.float32)))
    for episode in episodes:
        row = told.text.row(episode.instruction)
        rows = np.full(len(episode.proprio), row)
        seen = plain.keypoints(episode.images["front"], episode.proprio, rows)
        points = told.keypoints(episode.images["front"], episode.proprio, rows)
        expected = means[row] + told.trust.trust[row] * (seen[:, PICK_SIZE:] - means[row])
        assert np.allclose(points[:, PICK_SIZE:], expected, atol=1e-6)
        assert np.array_equal(points[:, :PICK_SIZE], seen[:, :PICK_SIZE])
    assert len({episode.instruction for episode in episodes}) > 1
    assert told.digest != plain.digest
    told.save(tmp_path)
    again = KeypointPerception.load(tmp_path, SPEC)
    assert again.digest == told.digest
    assert np.array_equal(again.episode(episodes[0]), told.episode(episodes[0]))


def test_where_everything_is_believed_a_policy_is_the_one_of_before():
    plain, _ = perception(None)
    whole, _ = perception(PlaceTrust.whole(len(plain.text.instructions)))
    assert whole.digest == plain.digest
