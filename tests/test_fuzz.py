"""Short runs of the fuzzer, and proof that it would notice."""

import numpy as np
import pytest
import soak_fuzz

from drivers.widowx.setpoints import GoalWriter
from robot.control.controller import Controller


def test_whatever_is_fed_to_the_environment_only_safe_commands_leave():
    tally = soak_fuzz.fuzz_environment(1200, 1)
    assert tally.fed == 1200
    assert tally.checked > 9000
    assert {"faults", "non-finite", "action", "speed", "x", "roll"} <= set(tally.results)
    assert tally.largest_step > 0.02


def test_in_a_wide_box_the_collision_check_keeps_the_arm_off_itself_and_the_table():
    tally = soak_fuzz.fuzz_environment(600, 5, limits=soak_fuzz.WIDE)
    assert tally.results["collision"] > 30


def test_whatever_is_fed_to_the_driver_only_safe_goals_are_on_the_line():
    tally = soak_fuzz.fuzz_driver(1020, 2)
    assert tally.fed == 1020
    assert tally.checked > 7000
    assert tally.results["refused"] > 100
    assert tally.results["taken"] > 500
    assert tally.largest_step > 0.02


def test_a_command_beyond_the_limits_is_noticed(monkeypatch):
    move = Controller.move
    monkeypatch.setattr(
        Controller,
        "move",
        lambda self, step, start, goal, width, clipped: move(self, step, start, goal + np.pi, width, clipped),
    )
    with pytest.raises(soak_fuzz.ViolationError, match=r"step of|joints"):
        soak_fuzz.fuzz_environment(50, 3)


def test_a_goal_that_jumps_is_noticed(monkeypatch):
    write = GoalWriter.write
    monkeypatch.setattr(GoalWriter, "write", lambda self, angles: write(self, [round(a / 0.1) * 0.1 for a in angles]))
    with pytest.raises(soak_fuzz.ViolationError, match="at once"):
        soak_fuzz.fuzz_driver(50, 4)
