"""When a tool was down, and what follows from it for every frame."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos

from policies.perception.keypoint_labels import PICK_SIZE, label_keypoints
from policies.perception.strokes import LEAST_RANGE, Stroke, find_strokes

HIGH, LOW = 0.1, 0.05
TWICE = [HIGH, 0.08, 0.052, LOW, 0.062, 0.07, HIGH, 0.055, LOW, LOW, 0.09, HIGH]
STROKES = [Stroke(2, 4), Stroke(7, 9)]


def with_a_tool(outcome, heights=TWICE, width=0.02):
    """An episode whose tip goes through these heights, x counting the frames, a tool in the gripper throughout."""
    (episode,) = demos(1, seed=4)
    proprio = np.zeros((len(heights), episode.proprio.shape[1]), np.float32)
    proprio[:, 0] = np.arange(len(heights))
    proprio[:, 2] = heights
    proprio[:, 5] = 0.3
    proprio[:, 6], proprio[:, 7] = width, -1.0
    return replace(episode, proprio=proprio, outcome=outcome)


def test_a_tool_is_down_from_the_lowest_fifth_of_its_heights_until_it_is_lifted_off():
    assert find_strokes(np.array(TWICE, np.float32)) == STROKES


def test_a_stroke_may_begin_the_episode_and_end_it():
    assert find_strokes(np.array([LOW, LOW, HIGH, LOW], np.float32)) == [Stroke(0, 1), Stroke(3, 3)]


@pytest.mark.parametrize(("share", "strokes"), [(0.9, 0), (1.1, 1)])
def test_a_tip_that_stays_at_one_height_comes_down_nowhere(share, strokes):
    heights = HIGH - LEAST_RANGE * share * np.array([0, 0.5, 1, 0.5, 0])
    assert len(find_strokes(heights.astype(np.float32))) == strokes


def test_missing_heights_are_no_strokes():
    assert find_strokes(np.array([HIGH, np.nan, LOW, HIGH], np.float32)) == []


def test_pick_is_where_the_tool_next_comes_down_and_place_where_it_is_lifted_off():
    labels = label_keypoints(with_a_tool("success"), SPEC.proprio)
    assert labels.values[:, 0].tolist() == [2, 2, 2, 3, 4, 7, 7, 7, 8, 9, 0, 0]
    assert labels.values[:, PICK_SIZE].tolist() == [4, 4, 4, 4, 4, 9, 9, 9, 9, 9, 0, 0]
    assert labels.known.tolist() == [True] * 10 + [False] * 2
    np.testing.assert_allclose(labels.values[0, 3:PICK_SIZE], [np.sin(0.6), np.cos(0.6)], rtol=1e-6)


def test_where_play_ends_a_stroke_is_nowhere_that_an_instruction_asks_for():
    labels = label_keypoints(with_a_tool("unknown"), SPEC.proprio)
    assert labels.mask[:10, :PICK_SIZE].all()
    assert not labels.mask[:, PICK_SIZE:].any()


def test_a_failure_with_something_in_the_gripper_throughout_shows_where_it_was():
    episode = with_a_tool("failure")
    labels = label_keypoints(episode, SPEC.proprio)
    assert np.array_equal(labels.values[:, 0], episode.proprio[:, 0])
    assert not labels.mask[:, PICK_SIZE:].any()


def test_a_gripper_shut_on_nothing_holds_no_tool():
    assert not label_keypoints(with_a_tool("success", width=0.0), SPEC.proprio).known.any()
