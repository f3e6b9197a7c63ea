"""The place on the processor that is asked for, and what is said of it."""

import os

from robot.control.priority import LOOP, SCENE, raise_priority


def test_the_highest_priority_that_is_permitted(monkeypatch):
    asked = []

    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", lambda *arguments: asked.append(arguments))
    assert raise_priority() == "SCHED_RR 10"
    assert asked[0] == (0, os.SCHED_RR, os.sched_param(10))
    assert raise_priority(5) == "SCHED_RR 5"
    assert asked.pop() == (0, os.SCHED_RR, os.sched_param(5))
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", lambda *arguments: asked.append(arguments))
    assert raise_priority() == "nice -10"
    assert asked[1] == (os.PRIO_PROCESS, 0, -10)
    monkeypatch.setattr(os, "setpriority", refuse)
    assert raise_priority().startswith("ordinary (neither")


def test_the_loop_goes_before_the_scene():
    assert 1 <= SCENE < LOOP <= 10  # what docs/hardware.md has ordinary users permitted
