"""Debouncing, online and on whole episodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.debounce import Debounce, first_done, sustained
from rewards.frames import label_aftermath, label_frames
from trajectories.errors import ConfigError


def test_one_odd_frame_is_not_enough():
    debounce = Debounce(threshold=0.9, frames=3)
    values = [0.95, 0.95, 0.1, 0.95, 0.9, 0.99, 0.0]
    assert [debounce.update(v) for v in values] == [False, False, False, False, False, True, True]
    debounce.reset()
    assert not debounce.update(0.99)


def test_sustained_is_a_running_minimum():
    assert sustained([0.1, 0.9, 0.5, 0.7], 2).tolist() == [-np.inf, 0.1, 0.5, 0.5]
    assert sustained([0.5], 2).tolist() == [-np.inf]


@given(
    values=st.lists(st.floats(0, 1), max_size=30),
    threshold=st.floats(0, 1, exclude_min=True),
    frames=st.integers(1, 5),
)
def test_online_and_whole_episode_agree(values, threshold, frames):
    debounce = Debounce(threshold, frames)
    online = next((i for i, value in enumerate(values) if debounce.update(value)), None)
    assert first_done(values, threshold, frames) == online


def test_debounce_needs_a_frame_and_a_threshold_that_not_every_frame_reaches():
    with pytest.raises(ConfigError, match="at least 1"):
        Debounce(0.5, 0)
    with pytest.raises(ConfigError, match="every frame would reach it"):
        Debounce(0.0, 3)


def test_a_frame_that_does_not_count_starts_the_row_again():
    debounce = Debounce(threshold=1e-300, frames=2)
    assert [debounce.update(1.0, counts) for counts in (True, False, True, True)] == [False, False, False, True]


def test_labels_of_a_success_leave_the_doubtful_frames_out():
    labels = label_frames(length=10, outcome="success", success_frames=3, gap=4)
    assert labels.tolist() == [0, 0, 0, 0, -1, -1, -1, -1, 1, 1, 1]


def test_since_the_gripper_last_let_go_nobody_knows_when_it_was_done():
    let_go = np.array([1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1], dtype=bool)  # closed twice, open from frame 5 on
    assert label_frames(11, "success", 2, 2, counts=let_go).tolist() == [0, 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, 1]
    within_the_gap = let_go.copy()
    within_the_gap[8] = False
    assert label_frames(11, "success", 2, 3, counts=within_the_gap).tolist() == [0] * 7 + [-1] * 3 + [1, 1]
    always_open = np.ones(12, dtype=bool)
    assert label_frames(11, "success", 2, 2, counts=always_open).tolist() == [0] * 8 + [-1, -1, 1, 1]
    assert label_frames(11, "failure", 2, 2, counts=let_go).tolist() == [0] * 12


def test_labels_of_failures_and_unknown_outcomes():
    assert label_frames(3, "failure").tolist() == [0, 0, 0, 0]
    assert label_aftermath(2, "success").tolist() == [1, 1, 1]
    assert label_aftermath(2, "failure").tolist() == [0, 0, 0]
    with pytest.raises(ConfigError, match="unknown"):
        label_aftermath(2, "unknown")
    assert label_frames(3, "unknown").tolist() == [-1, -1, -1, -1]


def test_a_very_short_success_has_no_negative_frame():
    assert label_frames(2, "success", success_frames=3, gap=4).tolist() == [1, 1, 1]
    assert label_frames(4, "success", success_frames=3, gap=4).tolist() == [-1, -1, 1, 1, 1]


def test_other_outcomes_are_refused():
    with pytest.raises(ConfigError, match="'done'"):
        label_frames(3, "done")
