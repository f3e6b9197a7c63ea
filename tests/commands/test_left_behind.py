"""Episodes of a person that begin where the one before ended."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, BlobWorld, expert_action, record

from commands.left_behind import LeftBehind


def there_and_back():
    """A success forward, and the success backward that picks the disc up where it was left."""
    world = BlobWorld(np.random.default_rng(1))
    world.reset()
    there = record(world, lambda _: expert_action(world, 0.0))
    world.direction = "backward"
    back = record(world, lambda _: expert_action(world, 0.0))
    assert (there.outcome, back.outcome) == ("success", "success")
    return there, back


def marks(*episodes, stays=True):
    left, said = LeftBehind(SPEC.proprio, stays), []
    for episode in episodes:
        said.append(left.marked(episode).metadata.get("began_done"))
        left.kept(episode)
    return said


def test_what_is_picked_up_where_the_success_before_left_it_began_done():
    there, back = there_and_back()
    assert marks(there, back) == [None, "forward"]
    look = replace(back, direction="forward", metadata={"kind": "aftermath"})
    assert marks(there, look, back) == [None, None, "forward"]
    assert marks(there, replace(back, outcome="failure")) == [None, "forward"]
    assert marks(there, back, stays=False) == [None, None]


@pytest.mark.parametrize(
    "before", [{"outcome": "failure"}, {"outcome": "unknown"}, {"task": "another"}, {"direction": "backward"}]
)
def test_another_episode_before_proves_nothing(before):
    there, back = there_and_back()
    assert marks(replace(there, **before), back) == [None, None]


def test_the_scene_was_set_up_anew():
    there, back = there_and_back()
    moved = back.proprio.copy()
    moved[:, :2] += 0.02
    assert marks(there, replace(back, proprio=moved)) == [None, None]
    nothing = back.proprio.copy()
    nothing[:, SPEC.proprio.index("gripper_width")] = 0.0
    assert marks(there, replace(back, proprio=nothing)) == [None, None]


def test_only_the_episode_right_before_counts_and_one_taken_back_never_and_a_full_disk_changes_nothing():
    there, back = there_and_back()
    left = LeftBehind(SPEC.proprio, stays=True)
    left.kept(there)
    left.forget()
    assert "began_done" not in left.marked(back).metadata
    left.marked(there)  # the disk refused it: nobody kept it
    assert "began_done" not in left.marked(back).metadata
    left.kept(there)
    assert [left.marked(back).metadata["began_done"] for _ in range(2)] == ["forward", "forward"]
    assert marks(there, replace(there, id="another", outcome="failure"), back) == [None, None, None]
