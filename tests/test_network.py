"""A real actor and a real learner process in two network namespaces, over a bad wire that is cut for a while."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.link_data import SPEC, make_episode

from benchmarks.wire.census import missed_ticks
from benchmarks.wire.emulator import Netem
from benchmarks.wire.namespaces import ACTOR, ADDRESSES, LEARNER, SILENCE, Wire, why_not
from robot.link.certificates import make_authority, make_machine
from trajectories.store import TrajectoryStore
from trajectories.types import PROPRIO_NAMES

LACKING = why_not()
BAD = Netem(delay_s=0.02, jitter_s=0.01, loss=0.05, reorder=0.25, rate_bit_s=2e6)
PATIENCE_S = 120


@contextmanager
def process(wire, side, folder):
    script = HELPERS / ("killable_learner.py" if side == LEARNER else "killable_actor.py")
    address = f"{ADDRESSES[LEARNER]}:50051"
    with (folder / f"{side}.log").open("wb") as log:
        command = wire.command(side, [sys.executable, str(script), str(folder), address])
        running = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
        running.wait()


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(LACKING is not None, reason=LACKING or "")
def test_a_bad_wire_that_is_cut_loses_and_doubles_nothing_and_both_sides_say_so(tmp_path):
    make_authority(tmp_path / "certificates", "lab")
    for side, address in ADDRESSES.items():
        make_machine(tmp_path / "certificates", side, [address])
    logs = {side: tmp_path / f"{side}.log" for side in ADDRESSES}

    def completed():
        path = tmp_path / "completed"
        return path.read_text().split() if path.exists() else []

    def say(words):
        return all(one in logs[side].read_text() for side, one in words.items())

    with Wire() as wire, process(wire, LEARNER, tmp_path) as learner, process(wire, ACTOR, tmp_path) as actor:
        wire.set(BAD)
        wait_for(lambda: len(completed()) >= 3)
        wire.set(SILENCE)
        wait_for(lambda: say({LEARNER: "is away: nothing heard for 2 s", ACTOR: "is away: nothing heard for 2 s"}))
        before = len(completed())
        assert actor.poll() is None
        wire.set(BAD)
        wait_for(lambda: say({LEARNER: "is back, after", ACTOR: "is back, after"}))
        wait_for(lambda: len(completed()) >= before + 3)
        for one in (actor, learner):
            one.send_signal(signal.SIGTERM)
            assert one.wait(PATIENCE_S) == 0
    with TrajectoryStore(tmp_path / "outbox", read_only=True) as outbox:
        assert not outbox.ids()
    with TrajectoryStore(tmp_path / "learner", SPEC) as store:
        ids = store.ids()
        assert sorted(ids) == sorted(set(completed()))
        assert len(completed()) == len(ids) >= 6


@pytest.mark.skipif(LACKING is not None, reason=LACKING or "")
def test_a_wire_leaves_no_namespace_behind_also_when_it_is_left_by_an_error():
    def names():
        return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

    def mine():
        return [line for line in names().splitlines() if line.startswith(wire._names[LEARNER])]

    wire = Wire()
    with suppress(KeyboardInterrupt), wire:
        assert mine()
        raise KeyboardInterrupt
    assert not mine()


def test_who_may_not_make_namespaces_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert "install the system package iproute2" in why_not()
    monkeypatch.setattr("shutil.which", lambda name: "/sbin/ip")
    assert "only root may make network namespaces" in why_not()


def test_ticks_are_missed_where_a_step_is_too_long_but_not_while_the_fingers_move():
    episode, ticks = make_episode(steps=5), np.array([0, 3, 6, 11, 12, 14])  # the first, 2 missed, the fingers, 0, 1
    episode.t_ns["joints"][:] = ticks * 200_000_000
    episode.proprio[:, PROPRIO_NAMES.index("gripper_command")] = [1, 1, 1, -1, -1, -1]
    assert missed_ticks(episode, 200_000_000) == 3
