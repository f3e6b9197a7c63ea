"""When a gripper held something, and where it picked it up."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos

from trajectories.grasps import Grasp, find_grasps, picked_up_at

OPEN, SHUT, HELD = 0.044, 0.0, 0.02


def columns(*runs):
    """(width, command, frames) runs to two arrays."""
    width = np.concatenate([np.full(n, w) for w, _, n in runs]).astype(np.float32)
    command = np.concatenate([np.full(n, c) for _, c, n in runs]).astype(np.float32)
    return width, command


def test_grasp_from_the_first_closed_frame_to_the_release():
    width, command = columns((OPEN, 1, 3), (0.03, -1, 1), (HELD, -1, 4), (OPEN, 1, 2))
    assert find_grasps(width, command) == [Grasp(closed=3, end=8, released=True)]


def test_closing_on_nothing_is_no_grasp():
    width, command = columns((OPEN, 1, 3), (0.01, -1, 1), (SHUT, -1, 4), (OPEN, 1, 2))
    assert find_grasps(width, command) == []


def test_opening_again_while_the_fingers_still_move_is_no_grasp():
    width, command = columns((OPEN, 1, 3), (0.03, -1, 1), (0.02, -1, 1), (OPEN, 1, 2))
    assert find_grasps(width, command) == []


def test_an_object_that_slips_out_is_not_released():
    width, command = columns((OPEN, 1, 2), (HELD, -1, 4), (SHUT, -1, 2), (OPEN, 1, 1))
    assert find_grasps(width, command) == [Grasp(closed=2, end=6, released=False)]


def test_held_to_the_end():
    width, command = columns((OPEN, 1, 2), (HELD, -1, 4))
    assert find_grasps(width, command) == [Grasp(closed=2, end=6, released=False)]


def test_what_was_picked_up_lay_where_the_tip_was_as_the_gripper_closed():
    for episode in demos(4, seed=3):
        x, y, z, yaw = picked_up_at(episode, SPEC.proprio)
        np.testing.assert_allclose((x, y), episode.metadata["start"], atol=0.012)
        closed = find_grasps(episode.proprio[:, 6], episode.proprio[:, 7])[0].closed
        np.testing.assert_allclose((z, yaw), episode.proprio[closed, [2, 5]])


def edited(column, values):
    (episode,) = demos(1, seed=3)
    proprio = episode.proprio.copy()
    proprio[:, column] = values
    return replace(episode, proprio=proprio)


@pytest.mark.parametrize(
    ("column", "value"),
    [(6, SHUT), (7, 1.0), (7, -1.0), (0, np.nan), (5, np.nan)],
    ids=["slips", "never closes", "holds a tool", "place unknown", "yaw unknown"],
)
def test_there_is_no_place_where_nothing_was_picked_up_or_the_record_does_not_say(column, value):
    assert picked_up_at(edited(column, value), SPEC.proprio) is None


def test_a_robot_that_measures_no_width_says_no_place():
    (episode,) = demos(1, seed=3)
    assert picked_up_at(episode, tuple(name.replace("gripper_width", "other") for name in SPEC.proprio)) is None
