"""The learner and its arms on the page of `regrasp watch` and in its text, from the file that a learner leaves."""

import json
import os
import time
from dataclasses import replace

import pytest
from helpers.watch_session import HEALTHY, PretendedSession

from commands.watch.fleet import find_learner, light_of_learner, runs, view_of
from commands.watch.server import WatchServer
from commands.watch.watch import text_once
from policies.learner.fleet import Fleet
from policies.learner.learner_status import AWAY_S, ActorView, LearnerStatus
from robot.console.client import NoSessionError, find_session
from robot.console.wire import console_path
from robot.fleet import ActorIdentity, ActorReport
from trajectories.errors import LinkError

NOW = 2000.0
MARK = {"arm": "wx250s", "date": "2026-11-21T10:00:00+00:00", "digest": "ab" * 32}
LEFT = ActorView(
    "left", True, NOW, ActorReport("acting", "", 14, 0, 0, {"lost": 2}), MARK, 29, 812, 1, {"forward": 0.65}
)
RIGHT = replace(LEFT, name="right", report=ActorReport("holds", "kdqx3: a hand", 13, 0, 1), calibration=None, behind=1)
STATUS = LearnerStatus(1683, 59, 1183, 12, 14, {"forward": 0.5}, 3000, 500, (LEFT, RIGHT), NOW)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "finetune_regrasp").mkdir()
    return tmp_path


def test_the_newest_file_of_a_run_counts_and_a_damaged_one_is_left_out(folder):
    assert find_learner(folder) is None
    STATUS.write(folder / "finetune_regrasp" / "learner.json")
    assert find_learner(folder).actors == STATUS.actors == find_learner(folder / "finetune_regrasp").actors
    (folder / "finetune_other").mkdir()
    newer = folder / "finetune_other" / "learner.json"
    replace(STATUS, steps=7).write(newer)
    os.utime(newer, (time.time() + 60, time.time() + 60))
    assert find_learner(folder).steps == 7
    newer.write_text("{")
    os.utime(newer, (time.time() + 60, time.time() + 60))
    assert find_learner(folder).steps == 1683


def test_every_arm_has_its_own_line(folder):
    left, right = view_of(STATUS, NOW)["actors"]
    assert (left["name"], left["alive"], left["steps"], left["success"]) == ("left", True, 812, {"forward": 0.65})
    assert (left["resets"], left["resets_why"], left["calibration"]) == (2, "lost: 2", "wx250s of 2026-11-21")
    assert (right["report"]["state"], right["calibration"], right["behind"]) == ("holds", "none", 1)
    assert view_of(STATUS, NOW)["heading"] == "1683 of 3000 steps, 1183 updates, 12 due, newest policy 14"
    waits = view_of(replace(STATUS, owed=501), NOW)["heading"]
    assert "501 due (actors wait for it)" in waits


def test_nobody_of_a_learner_that_is_gone_lives():
    later = NOW + AWAY_S
    assert runs(STATUS, later - 0.1)
    seen = view_of(STATUS, later)
    assert not seen["running"]
    assert [one["alive"] for one in seen["actors"]] == [False, False]
    assert light_of_learner(STATUS, later).title == "NO LEARNER"


@pytest.mark.parametrize(
    ("right", "title", "word"),
    [
        (RIGHT, "AN ARM WAITS", "right is held: kdqx3: a hand"),
        (
            replace(RIGHT, report=ActorReport("asks", "put the pot back")),
            "AN ARM WAITS",
            "right asks for a person: put",
        ),
        (replace(RIGHT, report=ActorReport("acting"), alive=False), "AN ARM IS AWAY", "right: nothing heard"),
        (
            replace(RIGHT, report=ActorReport("failed", "DeviceError: servo 3"), alive=False),
            "AN ARM WAITS",
            "right has failed: DeviceError: servo 3",
        ),
        (replace(RIGHT, report=ActorReport("stopped"), alive=False), "LEARNING", "1 of 2 arms are here"),
        (replace(RIGHT, report=ActorReport("acting")), "LEARNING", "2 of 2 arms are here"),
    ],
)
def test_the_light_is_about_the_arm_that_needs_somebody(right, title, word):
    light = light_of_learner(replace(STATUS, actors=(LEFT, right)), NOW)
    assert light.title == title
    assert word in light.text
    assert light.level == ("green" if title == "LEARNING" else "amber")


def test_an_arm_that_failed_is_not_one_whose_network_failed():
    """A learner never counts it as living: it says nothing more."""
    fleet = Fleet(clock=lambda: NOW)
    fleet.enter(ActorIdentity("right"))
    fleet.hear("right", ActorReport("failed", "DeviceError: servo 3 does not answer"))
    seen = replace(STATUS, actors=fleet.views(0))
    light, (right,) = light_of_learner(seen, NOW), view_of(seen, NOW + 3)["actors"]
    assert (light.title, light.text) == ("AN ARM WAITS", "right has failed: DeviceError: servo 3 does not answer")
    assert light.advice == "Look at that arm, and at its own page."
    assert (right["alive"], right["doing"]) == (False, "failed, heard 3 s ago")


def test_the_page_shows_the_learner_without_a_session_and_beside_one(folder):
    STATUS.write(folder / "finetune_regrasp" / "learner.json")
    with WatchServer("127.0.0.1", 0, folder) as server:
        seen = json.loads(server.look("/state").body)
        assert (seen["session"], seen["light"]["title"]) == (None, "AN ARM WAITS")
        assert [one["name"] for one in seen["learner"]["actors"]] == ["left", "right"]
        with PretendedSession(console_path(folder)):
            beside = json.loads(server.look("/state").body)
        assert beside["session"]["task"] == HEALTHY.task
        assert beside["light"]["title"] != "AN ARM WAITS"
        assert len(beside["learner"]["actors"]) == 2
        assert "showLearner(seen.learner)" in server.page


def test_the_text_has_a_line_for_every_arm(folder):
    with pytest.raises(NoSessionError):
        text_once(folder, NOW)
    STATUS.write(folder / "finetune_regrasp" / "learner.json")
    text = text_once(folder, time.time())
    assert text.startswith("AN ARM WAITS: right is held")
    left = next(line for line in text.splitlines() if "left:" in line)
    assert "29 episodes, 812 steps, 1 unsure; success forward 65%; resets lost: 2; policy 14, 0 behind" in left
    assert "calibration wx250s of 2026-11-21" in left
    with PretendedSession(console_path(folder)):
        both = text_once(folder, time.time())
    assert HEALTHY.task in both
    assert "actor      right: holds (kdqx3: a hand)" in both


def test_sessions_of_two_actors_on_one_computer_are_told_apart(folder):
    places = [folder / "finetune_regrasp" / f"actor_{name}" for name in ("left", "right")]
    for place in places:
        place.mkdir()
    with PretendedSession(console_path(places[0])):
        assert find_session(folder).path.parent == places[0]
        with PretendedSession(console_path(places[1])):
            with pytest.raises(LinkError, match=r"run_dir=.*actor_left, run_dir=.*actor_right"):
                find_session(folder)
            assert find_session(places[1]).path.parent == places[1]
            STATUS.write(folder / "finetune_regrasp" / "learner.json")  # of which both are arms
            text = text_once(folder, time.time())
            assert text.startswith("AN ARM WAITS: right is held")
            assert "name one of them" in text.splitlines()[-1]
            with WatchServer("127.0.0.1", 0, folder) as server:
                seen = server.overview()
            assert (seen["session"], seen["light"]["title"]) == (None, "AN ARM WAITS")
