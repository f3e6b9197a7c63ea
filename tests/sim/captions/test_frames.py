"""Renders of several tasks with one truth for every caption, and states on the way."""

import numpy as np
import pytest

from sim.captions.caption import DONE, Caption, KnownFacts
from sim.captions.frames import captions_of, sample_captioned_frames, usual_tasks
from sim.captions.trials import trials
from sim.tasks import TASKS, find_task
from sim.twin import make_twin
from trajectories.types import DIRECTIONS


def test_frames_have_one_truth_row_each_and_other_objects_are_false():
    names = ("pot_pick_place", "push_puck", "candy_sweeping", "push_puck")
    frames = sample_captioned_frames(16, np.random.default_rng(1), names)
    assert frames.images.shape == (16, 96, 96, 3)
    assert frames.truth.shape == (16, len(frames.captions))
    assert len(set(frames.captions)) == len(frames.captions)
    assert frames.tasks == ("pot_pick_place", "push_puck", "candy_sweeping")
    assert [(frames.task == index).sum() for index in range(3)] == [4, 8, 4]
    for index, name in enumerate(frames.tasks):
        own, others = frames.about[index], frames.task != index
        assert not frames.truth[others][:, own].any()
        assert (frames.truth[frames.task == index][:, own] > 0).any(axis=1).all()
        texts = {frames.captions[column] for column in np.flatnonzero(own & frames.instructions)}
        assert texts == {text for direction in DIRECTIONS for text in find_task(name).instructions[direction]}
    assert set(frames.rates) == set(names)


def test_a_caption_means_the_same_in_every_task():
    meant = {}
    for name in TASKS.own:
        for caption in captions_of(find_task(name)):
            assert meant.setdefault(caption.text, caption) == caption


def test_half_of_the_renders_and_more_are_of_what_people_fine_tune():
    names = usual_tasks()
    assert set(names) == set(TASKS.own)
    assert {names.count(name) for name in names if TASKS[name].role == "target"} == {3}
    assert {names.count(name) for name in names if TASKS[name].role == "prior"} == {1}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (Caption("fold the cloth", "cloth", DONE, "folded"), True),
        (Caption("unfold the cloth", "cloth", DONE, "unfolded"), None),
        (Caption("pull the cloth over the cube", "cloth", DONE, "over the cube"), None),
        (Caption("put the cube on the mat", "cube", DONE, "on the mat"), None),
        (Caption("put the pot on the rack", "pot", DONE, "on the rack"), False),
    ],
)
def test_what_nobody_said_is_unknown_and_what_is_not_there_false(caption, expected):
    facts = KnownFacts(frozenset({"cloth"}), {(DONE, "folded"): True, (DONE, "unfolded"): None}, frozenset({"cube"}))
    assert facts.truth(caption) is expected


def test_trials_follow_each_other_and_fail_and_succeed():
    twin = make_twin("bin_weight", seed=0, cameras=())
    done = [
        [twin.success(direction) for direction in DIRECTIONS]
        for _, _ in zip(range(150), trials(twin, np.random.default_rng(3)), strict=False)
    ]
    assert np.array(done).any(axis=0).all()
    assert not np.array(done).any(axis=1).all()
    twin.close()
