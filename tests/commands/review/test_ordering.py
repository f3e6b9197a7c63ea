"""Doubtful and surprising episodes come first, and for the reasons that are said."""

import numpy as np
import pytest

from commands.review.ordering import (
    AT_ODDS,
    LONG_UNSURE,
    NEAR,
    UNDECIDED,
    UNUSUAL,
    Judged,
    doubt_of,
    furthest,
    in_order,
)
from trajectories.verdicts import Verdict

THRESHOLD, FRAMES = 0.7, 3
SURE_SUCCESS = [0.05] * 10 + [0.99] * 3
SURE_FAILURE = [0.05] * 13


def judged(number=0, outcome="success", probability=None, **changes):
    given = probability or {"success": SURE_SUCCESS}.get(outcome, SURE_FAILURE)
    return Judged(f"{number:04d}", "forward", outcome, np.array(given, np.float32), **changes)


def doubt(episode, usual=None):
    return doubt_of(episode, THRESHOLD, FRAMES, usual)


def test_what_the_judge_was_sure_of_is_not_doubtful():
    for outcome in ("success", "failure"):
        assert doubt(judged(outcome=outcome)).score == pytest.approx(0.0, abs=0.01)
        assert doubt(judged(outcome=outcome)).reasons == ()


def test_the_decision_is_by_frames_in_a_row():
    assert furthest(np.array([0.1, 0.9, 0.1, 0.8, 0.75, 0.9]), 3) == 0.75
    assert furthest(np.array([0.1, 0.9, 0.1]), 1) == 0.9
    assert np.isnan(furthest(np.array([0.9, np.nan, 0.9]), 2))
    assert np.isnan(furthest(np.array([]), 3))


@pytest.mark.parametrize(("outcome", "reached"), [("success", 0.72), ("failure", 0.68)])
def test_near_the_threshold_is_doubtful_on_either_side(outcome, reached):
    near = doubt(judged(outcome=outcome, probability=[0.05] * 20 + [reached] * 3))
    assert near.score == pytest.approx(
        NEAR * (1 - 0.02 / 0.25) + LONG_UNSURE * (3 / 23 / 0.4) * (reached < 0.7), abs=1e-5
    )
    assert near.reasons[0] == f"3 frames in a row reached {reached:.2f}, the threshold is 0.70"
    farther = doubt(judged(outcome=outcome, probability=[0.05] * 20 + [0.7 + 5 * (reached - 0.7)] * 3))
    assert farther.score < near.score


def test_one_frame_above_it_is_not_near():
    assert doubt(judged(outcome="failure", probability=[0.05] * 20 + [0.71, 0.05, 0.05])).score < 0.01


def test_long_unsure_counts_by_its_share():
    short, long = (
        doubt(judged(outcome="failure", probability=[0.3] * count + [0.05] * (40 - count))).score for count in (4, 16)
    )
    assert (short, long) == (pytest.approx(LONG_UNSURE * 0.25), pytest.approx(LONG_UNSURE))
    assert (
        "unsure for 16 of 40 frames"
        in doubt(judged(outcome="failure", probability=[0.3] * 16 + [0.05] * 24)).reasons[0]
    )


@pytest.mark.parametrize(("outcome", "opinion", "odds"), [
    ("success", 0.1, True), ("success", 0.9, False), ("success", 0.5, False),
    ("failure", 0.9, True), ("failure", 0.1, False), ("unknown", 0.9, False),
])  # fmt: skip
def test_another_opinion_counts_where_it_contradicts(outcome, opinion, odds):
    found = doubt(judged(outcome=outcome, opinion=opinion, cut_short=outcome == "unknown"))
    assert found.score == pytest.approx(AT_ODDS * odds, abs=0.01)
    assert len(found.reasons) == odds


def test_undecided_counts_unless_a_fault_cut_the_episode_short():
    assert doubt(judged(outcome="unknown")).score == pytest.approx(UNDECIDED)
    assert doubt(judged(outcome="unknown", cut_short=True)).score == 0.0


def test_what_is_unusual_for_a_direction_counts():
    assert doubt(judged(outcome="success"), usual=0.1).score == pytest.approx(UNUSUAL * 0.8, abs=0.01)
    assert doubt(judged(outcome="failure"), usual=0.9).score == pytest.approx(UNUSUAL * 0.8, abs=0.01)
    assert doubt(judged(outcome="success"), usual=0.9).score == pytest.approx(0.0, abs=0.01)
    assert doubt(judged(outcome="failure"), usual=0.5).score == pytest.approx(0.0, abs=0.01)


def test_an_episode_that_no_judge_looked_at_has_no_clue():
    assert doubt(judged(probability=[float("nan")] * 5)).score == 0.0


def test_the_order_is_by_doubt_then_the_newest_and_what_was_spoken_about_last():
    said = Verdict("0001", "done", "Anna", "review", 1, "aa")
    episodes = [
        judged(1, opinion=0.0, verdict=said),  # at odds, but a person has spoken
        judged(2),
        judged(3, "failure", [0.05] * 20 + [0.68] * 3),  # near
        judged(4),
        judged(5, opinion=0.0),  # at odds
        judged(6, "unknown"),
    ]
    for given in (episodes, episodes[::-1]):
        assert [one.id for one, _ in in_order(given, THRESHOLD, FRAMES)] == [
            "0005",
            "0006",
            "0003",
            "0004",
            "0002",
            "0001",
        ]


def test_what_is_usual_is_what_came_before_by_the_word_that_counts():
    overturned = [
        judged(number, "success", verdict=Verdict(f"{number:04d}", "not_done", "Anna", "review", 1, "aa"))
        for number in range(8)
    ]
    ordered = in_order([*overturned, judged(8, "success")], THRESHOLD, FRAMES)
    assert ordered[0][0].id == "0008"
    assert ordered[0][1].score == pytest.approx(UNUSUAL, abs=0.01)
    ordered = in_order([*(judged(number) for number in range(8)), judged(8, "success")], THRESHOLD, FRAMES)
    assert max(found.score for _, found in ordered) < 0.01


def test_nothing_is_in_order():
    assert in_order([], THRESHOLD, FRAMES) == []
