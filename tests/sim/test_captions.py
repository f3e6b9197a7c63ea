"""Captions are true exactly when they should be."""

import numpy as np
import pytest

from sim.captions import CAPTIONED, Caption, Facts, captions_of, pose_state, sample_captioned_frames
from sim.tasks import find_task
from sim.twin import make_twin

DONE = Caption("put the pot on the rack", "pot", "done", "on the rack")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts("pot", at="on the rack"), True),
        (Facts("pot", at="on the rack", hovered=True), True),
        (Facts("pot", at="on the rack", touched=True), False),
        (Facts("pot", at="in the sink"), False),
        (Facts("pot", edge="on the rack"), False),
        (Facts("pot", held_above="on the rack"), False),
        (Facts("can", at="on the rack"), False),
    ],
)
def test_an_instruction_is_true_exactly_when_it_is_carried_out(facts, expected):
    assert facts.truth(DONE) is expected


def test_instructions_agree_with_the_predicate():
    twin = make_twin("pot_pick_place", seed=0, cameras=())
    rng = np.random.default_rng(0)
    seen = set()
    for index in range(150):
        if index % 6 == 0:
            twin.reset("forward", rng)
        facts = pose_state(twin, rng)
        if facts.touched or facts.held_above:  # the predicate also asks what the gripper is commanded
            continue
        for direction in ("forward", "backward"):
            caption = next(c for c in captions_of(twin.task) if c.text in twin.task.instructions[direction])
            assert facts.truth(caption) == twin.task.at_goal(twin.scene, direction)
            seen.add(facts.truth(caption))
    assert seen == {True, False}
    twin.close()


def test_frames_have_one_truth_row_each_and_other_objects_are_false():
    frames = sample_captioned_frames(12, np.random.default_rng(1), ("pot_pick_place", "push_puck"))
    assert frames.images.shape == (12, 96, 96, 3)
    assert frames.truth.shape == (12, len(frames.captions))
    assert len(set(frames.captions)) == len(frames.captions)
    puck = [i for i, text in enumerate(frames.captions) if "puck" in text]
    assert not frames.truth[:6, puck].any()
    assert frames.truth[6:, puck].any()


def test_every_task_has_captions_for_the_hard_cases():
    for task in map(find_task, CAPTIONED):
        relations = {caption.relation for caption in captions_of(task)}
        assert {"done", "at", "touched", "held_above", "edge", "hovered"} <= relations
