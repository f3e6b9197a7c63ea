"""Episodes under other wordings."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos, fake_text
from helpers.replay_world import assert_same, everything

from policies.learner.offline_data import offline_data
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig
from policies.perception.making import new_image_perception
from policies.perception.rewording import reworded
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames

CAMERA = next(iter(SPEC.cameras))
WORDINGS = {"forward": ["take it there", "bring it there"], "backward": ["undo it"]}


def test_copies_differ_in_the_instruction_alone():
    episode = next(e for e in demos(4, seed=0) if e.direction == "forward")
    copies = list(reworded([episode], episode.task, WORDINGS))
    assert [copy.instruction for copy in copies] == [episode.instruction, "take it there", "bring it there"]
    assert all(replace(copy, instruction=episode.instruction) == episode for copy in copies)


def test_others_pass_as_they_are():
    episode = next(e for e in demos(4, seed=0) if e.direction == "forward")
    play = replace(episode, metadata={"kind": "play"})
    failure = replace(episode, outcome="failure")
    assert [e.instruction for e in reworded([episode], "another", WORDINGS)] == [episode.instruction]
    assert len(list(reworded([play], episode.task, WORDINGS))) == 1
    assert len(list(reworded([failure], episode.task, WORDINGS))) == 3
    assert len(list(reworded([failure], episode.task, WORDINGS, successes_only=True))) == 1


def test_an_own_wording_is_not_doubled():
    episode = next(e for e in demos(4, seed=0) if e.direction == "forward")
    same = replace(episode, instruction="take it there")
    assert [e.instruction for e in reworded([same], same.task, WORDINGS)] == ["take it there", "bring it there"]


def test_copies_stay_on_one_side_of_the_split():
    """Else the encoder's error is measured on images that it was trained on."""
    episodes = list(demos(4, seed=0))
    copies = list(reworded(episodes, episodes[0].task, WORDINGS))
    assert len(copies) > len(episodes)
    table = TextTable.build([e.instruction for e in copies], fake_text, "fake")
    frames = keypoint_frames(copies, sum(len(e) + 1 for e in episodes), table, CAMERA, SPEC.proprio)
    assert len(set(frames.episode.tolist())) == len({e.id for e in episodes})


def test_copies_share_their_images():
    """Each image once, and every frame with the image, the words and the labels of a copy of its own."""
    episodes = list(demos(4, seed=0))
    copies = list(reworded(episodes, episodes[0].task, WORDINGS))
    table = TextTable.build([e.instruction for e in copies], fake_text, "fake")
    shared = keypoint_frames(copies, sum(len(e) + 1 for e in episodes), table, CAMERA, SPEC.proprio)
    own = [replace(copy, id=str(number)) for number, copy in enumerate(copies)]
    apart = keypoint_frames(own, sum(len(e) + 1 for e in copies), table, CAMERA, SPEC.proprio)
    assert len(shared) == len(apart) == len(apart.images) > len(shared.images)
    assert len(shared.images) <= sum(len(e) + 1 for e in episodes)
    rows = np.arange(len(shared))
    assert np.array_equal(shared.images_of(rows), apart.images_of(rows))
    for name in ("proprio", "instruction", "values", "mask"):
        assert np.array_equal(getattr(shared, name), getattr(apart, name)), name


def offline(perception, copies, config):
    data = offline_data(copies, "red_disc", perception, config, seed=0)
    return data.target, data.mixed(0.5)


@pytest.mark.parametrize("network", [CnnConfig((8, 8), (4, 2)), ClipConfig(width=4)])
def test_image_pre_training_keeps_and_looks_at_each_frame_once(network, small_pretraining, monkeypatch):
    """What five wordings are drawn from is what five copies would be, without the copies and without their passes."""
    episodes = list(demos(6, seed=0))
    copies = list(reworded(episodes, "red_disc", WORDINGS))
    table = TextTable.build([e.instruction for e in copies], fake_text, "fake")
    perception = new_image_perception(copies, table, SPEC, EncoderConfig(network, width=8), seed=0)
    target = [e for e in episodes if e.task == "red_disc"]
    looked = []
    whole = type(perception).frames
    monkeypatch.setattr(type(perception), "frames", lambda self, one: looked.append(one.id) or whole(self, one))
    replay, mixed = offline(perception, copies, small_pretraining)
    assert looked == [e.id for e in episodes]
    assert replay.frames == sum(len(e) + 1 for e in target)
    own = [replace(copy, id=str(number)) for number, copy in enumerate(copies)]
    apart, drawn = offline(perception, own, small_pretraining)
    assert apart.frames == sum(len(c) + 1 for c in copies if c.task == "red_disc") > 2 * replay.frames
    assert_same(everything(replay), everything(apart))
    assert_same(mixed.sample(64), drawn.sample(64))


def test_features_that_words_have_a_part_in_are_kept_for_each_wording(small_pretraining):
    episodes = list(demos(4, seed=0))
    copies = list(reworded(episodes, "red_disc", WORDINGS))
    table = TextTable.build([e.instruction for e in copies], fake_text, "fake")
    perception = new_image_perception(copies, table, SPEC, EncoderConfig(CnnConfig((8, 8), (4, 2)), width=8), seed=0)
    assert not perception.sees_words
    perception.encoder.freeze()
    assert perception.sees_words
    replay, _ = offline(perception, copies, small_pretraining)
    assert replay.frames == sum(len(c) + 1 for c in copies if c.task == "red_disc")
