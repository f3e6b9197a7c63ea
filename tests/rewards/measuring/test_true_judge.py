"""The truth as a judge, for control: it looks when judges look, and processes that are started find it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.true_judge import KIND, TrueReward, offer, twin_here
from rewards.registry import KINDS
from sim.twin import make_twin


@pytest.fixture
def twin():
    twin_here.cache_clear()
    twin = make_twin("bin_weight", seed=3, cameras=(), randomise=False)
    yield twin
    twin.close()
    twin_here.cache_clear()


def test_it_says_done_once_the_predicate_has_for_some_frames_with_the_gripper_open(twin):
    judge = TrueReward(twin.env.robot_spec, "", 2, require_open_gripper=True)
    words, observation = twin.task.instructions, twin.env.observe()
    column = twin.env.robot_spec.proprio.index("gripper_command")
    closed, opened = observation.proprio.copy(), observation.proprio.copy()
    closed[column], opened[column] = -1, 1
    twin.reset("backward", np.random.default_rng(0))  # which begins where forward is done
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 1_000_000_000)
    assert [twin.success(way) for way in ("forward", "backward")] == [True, False]
    for wording, proprio, said in (
        (words["forward"][0], opened, [False, True]),
        (words["forward"][-1], closed, [False, False]),
        (words["backward"][0], opened, [False, False]),
    ):
        judge.reset(wording)
        assert [judge.update(replace(observation, proprio=proprio)).done for _ in range(2)] == said


def test_processes_that_are_started_find_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    offer(tmp_path)
    ask = [sys.executable, "-c", f"from rewards.registry import KINDS; print(type(KINDS[{KIND!r}]).__name__)"]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "TrueKind\n"
    assert KIND not in KINDS
