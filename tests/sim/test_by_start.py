"""Successes of an evaluation by where its starts lie: a benchmark's table."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from benchmarks.by_start import left_there, lines, measure
from benchmarks.on_the_way import snapshot_steps
from commands.evaluate.conditions import Evaluation
from factory.evaluated_policy import PolicySource
from factory.twin import TwinSettings
from trajectories.errors import ConfigError


def evaluation(place, *episodes):
    """Episodes as (direction, index, success), all of them drawn actions."""
    rows = [{"direction": way, "mode": "stochastic", "index": i, "success": done} for way, i, done in episodes]
    cells = {f"{way}/stochastic": {"episodes": 1} for way, _, _ in episodes}
    return Evaluation(Path(place), place, {}, {"cells": cells, "episodes": rows})


def test_successes_are_counted_by_start_and_what_nobody_knew_is_left_out():
    of = evaluation(
        "regrasp/step_500",
        ("forward", 0, True), ("forward", 1, False), ("forward", 2, True), ("forward", 3, None), ("backward", 0, True),
    )  # fmt: skip
    left = {"forward": [True, False, False, True], "backward": [True]}
    assert list(lines(of, left)) == [
        "| regrasp/step_500 | forward, stochastic | 1/1 = 100 % (21–100) | 1/2 = 50 % (9–91) |",
        "| regrasp/step_500 | backward, stochastic | 1/1 = 100 % (21–100) | – |",
    ]


def test_steps_of_a_snapshot():
    assert snapshot_steps(evaluation("regrasp/step_1500"), "regrasp") == 1500
    assert snapshot_steps(evaluation("pretrained_wsrl"), "wsrl") is None


def test_about_half_of_wide_starts_and_all_narrow_ones_are_what_the_other_direction_leaves(pretrained):
    with initialize_config_module("configs", version_base="1.3"):
        settings = [
            TwinSettings.from_config(compose("evaluate", ["task=bin_bench", f"robot.spread={spread}"]))
            for spread in ("wide", "narrow")
        ]
    wide, narrow = (
        left_there(each, PolicySource(str(pretrained)), 70000, {"forward": 12, "backward": 0}) for each in settings
    )
    assert narrow == {"forward": [True] * 12, "backward": []}
    assert 2 <= sum(wide["forward"]) <= 10


def test_a_folder_without_such_an_evaluation_is_refused(tmp_path):
    (tmp_path / "bin_bench" / "seed0" / "evaluations").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no evaluation of regrasp.*same --set"):
        list(measure(tmp_path / "bin_bench" / "seed0", "regrasp", []))
