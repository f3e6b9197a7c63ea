"""How well logits agree with the truth of captions, task by task."""

import math

import numpy as np

from rewards.captioned_images import CaptionedImages, CaptionGroups, TaskScore, agreement, score_table, task_scores

TRUTH = np.array([[1, 0, 0], [0, 1, 0], [1, -1, 0], [0, 0, 1]], np.int8)
GROUPS = CaptionGroups(
    ("pot", "can"),
    np.array([0, 0, 1, 1]),
    np.array([[True, True, False], [True, False, True]]),
    np.array([True, False, False]),
)
LOGITS = np.array([[2.0, -1, -1], [-1, -1, -1], [-3, 5, -1], [-1, -1, 1]], np.float32)


def data(groups=GROUPS):
    return CaptionedImages(np.zeros((4, 2, 2, 3), np.uint8), ("put", "held", "edge"), TRUTH, groups)


def test_scores_are_of_a_tasks_own_images_and_captions():
    scores = task_scores(LOGITS, data())
    assert scores["pot"] == TaskScore(1.0, 0.5)  # "held" is missed in one of its two images
    assert scores["can"] == TaskScore(0.5, 1.0)
    assert agreement(LOGITS, data()) == np.mean([0.75, 0.5, 1.0])


def test_what_is_never_true_has_no_score():
    one = CaptionGroups(("pot",), np.zeros(4, np.int64), np.array([[False, False, True]]), np.array([True] * 3))
    truth = np.zeros((4, 3), np.int8)
    scores = task_scores(LOGITS, CaptionedImages(np.zeros((4, 2, 2, 3), np.uint8), ("a", "b", "c"), truth, one))
    assert math.isnan(scores["pot"].instructions)
    assert math.isnan(scores["pot"].others)


def test_without_groups_there_are_no_tasks():
    assert task_scores(LOGITS, data(None)) == {}


def test_the_table_has_a_row_for_every_task():
    scores = task_scores(LOGITS, data())
    lines = score_table({"before": scores, "after": scores}).splitlines()
    assert lines[0].count("|") == lines[2].count("|") == 6
    assert lines[2] == "| pot | 1.000 | 1.000 | 0.500 | 0.500 |"
    assert len(lines) == 4
