"""The session's snapshot as plain data, and the one colour that it is boiled down to."""

import json
from dataclasses import replace

import numpy as np
import pytest

from robot.console.light import light_of
from robot.console.state import CameraView, ConsoleState, JointView, LoopView, ServoView, joint_views
from robot.control.kinematics import JOINT_NAMES
from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmState
from robot.rollout.actor_status import Tally
from trajectories.errors import LinkError

FULL = ConsoleState(
    task="bin_weight",
    acting="policy",
    direction="forward",
    step=4,
    max_steps=40,
    mode="follow",
    clipped=("z",),
    joints=(JointView("waist", 0.1, -3.0, 3.0, 0.5, 3.9),),
    servos=(ServoView("waist", 50.0, 80.0, 12.0, 0.2),),
    loop=LoopView(10.0, 11.0, 2, 1),
    cameras={"front": CameraView(30.0, 20.0)},
    unsure=True,
    tallies={"forward": Tally(3, 2, (True, None, False, True), unsure=1)},
    helps={"stuck": 1},
    updated_s=1000.0,
)


def test_a_state_survives_json():
    assert ConsoleState.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL


def test_entries_of_another_version_do_no_harm():
    old = {"tallies": {"forward": {"episodes": 2, "successes": 1, "recent": [True, False]}}}
    assert ConsoleState.from_dict(old).tallies == {"forward": Tally(2, 1, (True, False))}
    assert ConsoleState.from_dict({"task": "x", "mood": "good", "updated_s": 1.0}) == ConsoleState("x", updated_s=1.0)


@pytest.mark.parametrize(
    "raw", [{"joints": [{"name": "waist"}]}, {"tallies": {"forward": 3}}, {"cameras": 5}, {"servos": [7]}]
)
def test_a_state_of_the_wrong_shape_is_refused(raw):
    with pytest.raises(LinkError, match="same version"):
        ConsoleState.from_dict(raw)


def test_joints_come_with_their_limits():
    limits = SafetyLimits()
    state = ArmState(np.arange(6) / 10, np.zeros(6), -np.arange(6.0), 0.02, 0.0, 1)
    views = joint_views(state, limits, JOINT_NAMES)
    assert [view.name for view in views] == list(JOINT_NAMES)
    assert views[2] == JointView("elbow", 0.2, limits.joint_lower[2], limits.joint_upper[2], -2.0, 7.8)


@pytest.mark.parametrize(
    ("changes", "level", "title", "says"),
    [
        ({}, "green", "ALL WELL", "The policy acts, forward, step 4 of 40."),
        ({"acting": "nobody"}, "green", "ALL WELL", "Nobody acts."),
        ({"fault": "waist overload"}, "red", "FAULT", "waist overload"),
        ({"mode": "fault"}, "red", "FAULT", "no reason"),
        ({"mode": "lost", "fault": "unplugged"}, "red", "ARM LOST", "unplugged"),
        ({"mode": "rest", "fault": "elbow is hot"}, "amber", "AT REST", "elbow is hot"),
        ({"waiting_for": "Put the cube back."}, "amber", "WAITING FOR YOU", "Put the cube back."),
        ({"updated_s": 994.0}, "amber", "NO NEWS", "for 6 s"),
        ({"updated_s": 994.0, "waiting_for": "Put the cube back."}, "amber", "WAITING FOR YOU", "cube"),
        ({"updated_s": 0.0, "fault": "x", "waiting_for": "y"}, "red", "FAULT", "x"),
        ({"cameras": {"wrist": CameraView(state="lost", last_error="gone")}}, "amber", "CAMERA", "lost (gone)"),
        ({"stale": "The joint state is 900 ms old."}, "amber", "NO NEWS", "The arm says nothing new. The joint state"),
        ({"stale": "old", "waiting_for": "Put the cube back."}, "amber", "WAITING FOR YOU", "cube"),
        ({"servos": (ServoView("elbow", 69.0, 80.0),)}, "amber", "HOT", "elbow has 69 °C, its limit is 80 °C"),
        ({"servos": (ServoView("elbow", 68.0, 80.0), ServoView("x"))}, "green", "ALL WELL", "policy"),
    ],
)
def test_the_light_shows_the_worst(changes, level, title, says):
    light = light_of(replace(FULL, **changes), now_s=1000.0)
    assert (light.level, light.title) == (level, title)
    assert says in light.text
    assert bool(light.advice) == (level != "green")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"fault": "x", "waiting_for": "step back, and say ready."}, "clear"),
        ({"mode": "rest"}, "clear"),
        ({"waiting_for": "step back, and say ready."}, "ready"),
        ({"waiting_for": "look at the arm, then clear the fault: camera lost"}, "clear"),
        ({"waiting_for": "fresh data: camera front is unclear, already twice"}, ""),
        ({}, ""),
    ],
)
def test_the_light_names_the_word_that_answers(changes, word):
    light = light_of(replace(FULL, **changes), now_s=1000.0)
    assert light.word == word
    assert (f'"{word}"' in light.advice) == bool(word)
