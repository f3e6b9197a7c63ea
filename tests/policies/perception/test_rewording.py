"""Episodes under other wordings."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos, fake_text
from helpers.replay_world import assert_same, everything

from policies.learner.offline_data import offline_data
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig
from policies.perception.keypoint_labels import PICK_SIZE
from policies.perception.making import new_image_perception
from policies.perception.rewording import asked_both_ways, reworded
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames
from trajectories.grasps import find_grasps

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
    assert len(list(asked_both_ways([failure], episode.task, WORDINGS))) == 1
    assert len(list(asked_both_ways([episode], episode.task, WORDINGS))) == 3
    assert len(list(asked_both_ways([episode], "another", WORDINGS))) == 1


def test_an_own_wording_is_not_doubled():
    episode = next(e for e in demos(4, seed=0) if e.direction == "forward")
    same = replace(episode, instruction="take it there")
    assert [e.instruction for e in reworded([same], same.task, WORDINGS)] == ["take it there", "bring it there"]


def test_what_began_done_is_asked_the_other_way_too():
    """Whatever it was recorded for and however it ended, but for looks at what was left, which pick up nothing."""
    first = next(e for e in demos(4, seed=0) if e.direction == "backward")
    for kind, outcome in (("demo", "failure"), ("play", "unknown")):
        began = replace(first, outcome=outcome, metadata={"kind": kind, "began_done": "forward"})
        copies = list(asked_both_ways([began], began.task, WORDINGS))
        assert [(e.direction, e.instruction) for e in copies] == [
            ("backward", began.instruction), ("forward", "take it there"), ("forward", "bring it there")
        ]  # fmt: skip
        assert len(list(asked_both_ways([began], "another", WORDINGS))) == 1
        assert list(asked_both_ways([began], began.task, WORDINGS, began=False)) == [began]
    for about in ({"kind": "aftermath", "began_done": "forward"}, {"began_done": "backward"}, {}):
        other = replace(first, outcome="failure", metadata=about)
        assert list(asked_both_ways([other], other.task, WORDINGS)) == [other]


def test_the_place_of_what_began_done_is_where_it_was_picked_up():
    """Frames that only the copy knows something of get images of their own, the others those that are there."""
    (lost,) = [e for e in demos(8, seed=5) if e.direction == "backward"][:1]
    (grasp,) = find_grasps(lost.proprio[:, 6], lost.proprio[:, 7])
    proprio = lost.proprio.copy()
    proprio[grasp.end - 1 : grasp.end, 6] = 0.0  # the object slips out: its own direction knows nothing from then on
    lost = replace(lost, proprio=proprio, outcome="failure", metadata={"began_done": "forward"})
    copies = list(asked_both_ways([lost], lost.task, {"forward": ["take it there"]}))
    table = TextTable.build([e.instruction for e in copies], fake_text, "fake")
    frames = keypoint_frames(copies, len(lost) + 1, table, CAMERA, SPEC.proprio)
    asked = frames.instruction == table.row("take it there")
    assert int(asked.sum()) == len(lost) + 1 == len(frames.images)
    assert 0 < int((~asked).sum()) < len(lost) + 1
    assert not frames.mask[~asked, PICK_SIZE:].any()
    assert frames.mask[asked, PICK_SIZE:].all()
    assert np.allclose(frames.values[asked, PICK_SIZE:], proprio[grasp.closed, :3])
    for mine, numbers in ((asked, np.arange(len(lost) + 1)), (~asked, np.arange(int((~asked).sum())))):
        assert np.array_equal(frames.images_of(np.flatnonzero(mine)), lost.images[CAMERA][numbers])


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
