"""Captions about one object that is moved are true exactly when they should be."""

import numpy as np
import pytest

from sim.captions.caption import DONE, Caption
from sim.captions.frames import captions_of
from sim.captions.moving import MovedFacts, pose_state
from sim.tasks import TASKS, MoveTask, find_task
from sim.tasks.predicates import upright
from sim.twin import make_twin
from trajectories.types import DIRECTIONS

ON_RACK = Caption("put the pot on the rack", "pot", DONE, "on the rack")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (MovedFacts("pot", at="on the rack"), True),
        (MovedFacts("pot", at="on the rack", hovered=True), True),
        (MovedFacts("pot", at="on the rack", touched=True), False),
        (MovedFacts("pot", at="in the sink"), False),
        (MovedFacts("pot", edge="on the rack"), False),
        (MovedFacts("pot", held_above="on the rack"), False),
        (MovedFacts("can", at="on the rack"), False),
        (MovedFacts("lid", at="on the rack", others=frozenset({"pot"})), None),
    ],
)
def test_an_instruction_is_true_exactly_when_it_is_carried_out(facts, expected):
    assert facts.truth(ON_RACK) is expected


@pytest.mark.parametrize("name", ["pot_pick_place", "pot_lid", "bin_vase"])
def test_instructions_agree_with_the_predicate(name):
    twin = make_twin(name, seed=0, cameras=())
    rng = np.random.default_rng(0)
    seen = set()
    for index in range(120):
        if index % 6 == 0:
            twin.reset("forward", rng)
        facts = pose_state(twin, rng)
        if facts.fallen:
            assert not upright(twin.scene, twin.task.object)
        if facts.touched or facts.held_above:  # the predicate also asks what the gripper is commanded
            continue
        for direction in DIRECTIONS:
            caption = next(c for c in captions_of(twin.task) if c.text in twin.task.instructions[direction])
            assert facts.truth(caption) == twin.task.at_goal(twin.scene, direction)
            seen.add(facts.truth(caption))
    assert seen == {True, False}
    twin.close()


def test_a_lid_askew_on_its_pot_or_beside_it_is_said_to_be_so():
    twin = make_twin("pot_lid", seed=0, cameras=())
    rng = np.random.default_rng(2)
    said = {caption.text: caption for caption in captions_of(twin.task)}
    askew, beside, bare = (
        said[f"the lid {how}"] for how in ("lies askew on the pot", "is beside the pot", "is on the bare table")
    )
    seen = {"askew": 0, "beside": 0}
    for index in range(120):
        if index % 6 == 0:
            twin.reset("forward", rng)
        facts = pose_state(twin, rng)
        away = np.linalg.norm((twin.scene.physics.body_pose("lid")[0] - twin.scene.physics.body_pose("pot")[0])[:2])
        if facts.truth(askew):
            seen["askew"] += 1
            assert twin.scene.physics.in_contact("lid", "pot") or facts.hovered
            assert not facts.truth(beside)
            assert not facts.truth(bare)
            assert not twin.task.at_goal(twin.scene, "forward")
        if facts.truth(beside):
            seen["beside"] += 1
            assert away < 0.1
            assert not twin.task.at_goal(twin.scene, "forward")
    assert min(seen.values()) > 2
    twin.close()


def test_every_task_has_captions_for_the_hard_cases():
    for task in map(find_task, TASKS.own):
        if isinstance(task, MoveTask) and task.skill != "cloth":
            relations = {caption.relation for caption in captions_of(task)}
            assert {DONE, "at", "touched", "held_above", "edge", "hovered"} <= relations
            assert ("fallen" in relations) == (task.noun not in ("cube", "block", "puck"))
