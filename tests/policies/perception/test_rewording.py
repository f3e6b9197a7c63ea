"""Episodes under other wordings."""

from dataclasses import replace

from helpers.blob_world import SPEC, demos, fake_text

from policies.perception.rewording import reworded
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames

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
    frames = keypoint_frames(copies, sum(len(e) + 1 for e in copies), table, next(iter(SPEC.cameras)), SPEC.proprio)
    assert len(set(frames.episode.tolist())) == len({e.id for e in episodes})
