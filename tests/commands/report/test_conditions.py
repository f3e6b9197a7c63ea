"""Evaluations under unlike conditions lie apart and are never compared."""

import json
from dataclasses import replace

import pytest
from helpers.evaluated_runs import CONDITIONS, ON_THE_ARM, evaluated, evaluated_before, run_folder, trained, tuned
from helpers.trajectory_samples import SPEC
from hydra import compose, initialize_config_module

from commands.evaluate.conditions import ARRANGED, PREDICATE, conditions_of, evaluations_in, find_evaluation
from commands.report import compare
from commands.report.comparison import best_lines, rows_of, runs_of, without_common_steps
from commands.report.data import curve
from factory.spec import spec_of
from trajectories.errors import ConfigError

EASY = replace(CONDITIONS, spread="narrow", max_steps=80)


def composed(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("evaluate", overrides=["workers=1", *overrides])


def compose_compare(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("compare", overrides=["workers=1", *overrides])


@pytest.mark.parametrize(
    "changed",
    ["robot.spread=narrow", "task.max_steps=80", "evaluate.seed=1", "robot.randomise=false", "robot.image_size=64",
     "robot.model=vx300s", "robot.cameras=[front,wrist]", "task=bin_weight"],
)  # fmt: skip
def test_every_condition_is_in_the_digest(changed):
    assert conditions_of(composed(), PREDICATE) == CONDITIONS
    assert conditions_of(composed(changed), PREDICATE).digest != CONDITIONS.digest
    assert conditions_of(composed(), "person").digest != CONDITIONS.digest


def test_amounts_are_no_condition():
    amounts = ["evaluate.episodes=3", "evaluate.modes=[stochastic]", "evaluate.videos=0", "collect.demos=9"]
    assert conditions_of(composed(*amounts), PREDICATE) == CONDITIONS


def test_on_an_arm_the_person_arranges_the_starts():
    found = conditions_of(composed("robot=widowx"), "person")
    assert (found.spread, found.randomise) == (ARRANGED, None)


def test_the_reward_model_that_judges_is_a_condition(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"one")
    one = conditions_of(composed(), "reward model", tmp_path)
    for figures in ("evaluation.json", "evaluation_store.json"):
        (tmp_path / figures).write_text("{}")
    assert conditions_of(composed(), "reward model", tmp_path) == one
    (tmp_path / "weights.safetensors").write_bytes(b"two")
    assert conditions_of(composed(), "reward model", tmp_path) != one


def test_an_easier_evaluation_leaves_the_one_before(tmp_path):
    run_folder(tmp_path, 0.2, 0.5)
    evaluated(tmp_path / "evaluations", "regrasp/step_1000", 1.0, EASY, episodes=3)
    assert curve(tmp_path / "evaluations", "regrasp", CONDITIONS)[0].cells["forward/stochastic"]["rate"] == 0.5
    (row,) = rows_of(runs_of([tmp_path], SPEC))
    assert (row.before.mean, row.after.mean) == (20, 50)  # EASY has no start to compare with


def test_runs_under_unlike_conditions_are_refused_by_name(tmp_path):
    runs = [run_folder(tmp_path / "a", 0.2, 0.5), run_folder(tmp_path / "b", 0.2, 0.9, conditions=EASY)]
    with pytest.raises(ConfigError, match=r"max_steps (40 and 80|80 and 40), spread"):
        runs_of(runs, SPEC)


def test_runs_with_several_evaluations_ask_which(tmp_path):
    for conditions, after in ((CONDITIONS, 0.5), (EASY, 0.9)):
        run_folder(tmp_path, 0.2, after, conditions=conditions)
    with pytest.raises(ConfigError, match=r"spread.*conditions="):
        runs_of([tmp_path], SPEC)
    for conditions, after in ((CONDITIONS, 50), (EASY, 90)):
        (row,) = rows_of(runs_of([tmp_path], SPEC, conditions=conditions.digest))
        assert row.after.mean == after
    with pytest.raises(ConfigError, match="conditions=abc"):
        runs_of([tmp_path], SPEC, conditions="abc")


def test_evaluations_of_earlier_versions_are_found_and_compared_with_those_of_today(tmp_path):
    old, new = tmp_path / "old", run_folder(tmp_path / "new", 0.2, 0.5)
    evaluated_before(old / "evaluations", "pretrained", 0.3)
    evaluated_before(old / "evaluations", "regrasp/step_1000", 0.7)
    tuned(old)
    found = find_evaluation(old / "evaluations", "pretrained", CONDITIONS)
    assert found.result["cells"]["forward/stochastic"]["rate"] == 0.3
    assert find_evaluation(old / "evaluations", "pretrained", EASY) is None
    (alone,) = rows_of(runs_of([old], SPEC))
    assert alone.after.values == (70,)
    (row,) = rows_of(runs_of([old, new], SPEC))  # what it doesn't say is taken to be the same
    assert row.after.values == (70, 50)
    with pytest.raises(ConfigError, match="max_steps"):
        runs_of([old, run_folder(tmp_path / "easy", 0.2, 0.5, conditions=EASY)], SPEC)


def test_a_result_that_is_none_is_an_error_that_names_it(tmp_path):
    folder = evaluated(tmp_path, "pretrained", 0.1)
    (folder / "result.json").write_text('{"cells": {')
    with pytest.raises(ConfigError, match=r"pretrained/result\.json"):
        evaluations_in(tmp_path)


def test_seeds_without_a_common_point_are_left_out_and_said(tmp_path):
    runs = runs_of([run_folder(tmp_path / "a", 0.2, 0.5, 1000), run_folder(tmp_path / "b", 0.2, 0.5, 1500)], SPEC)
    assert rows_of(runs) == []
    assert "a: 1000; b: 1500" in without_common_steps(runs)[0]


def test_best_is_only_among_what_is_alike(tmp_path):
    for seed in range(3):
        run = run_folder(tmp_path / f"seed{seed}", 0.2, 0.2)
        evaluated(run / "evaluations", "rlpd/step_2000", 1.0)
        evaluated(run / "evaluations", "wsrl/step_1000", 0.9)
        evaluated(run / "evaluations", "sac/step_1000", 0.8)
        for name in ("rlpd", "wsrl", "sac"):
            tuned(run, name)
    rows = rows_of(runs_of(sorted(tmp_path.iterdir()), SPEC))
    (line,) = best_lines(rows)  # rlpd has other steps
    assert line.startswith("forward, stochastic at 1000 steps: wsrl, 90 (")
    assert line.endswith("not told apart from sac")  # regrasp's 20 % is below


def test_runs_on_an_arm_without_a_referee_are_compared(tmp_path, capsys):
    for seed, after in enumerate((0.6, 0.8)):
        run = tmp_path / f"seed{seed}"
        evaluated(run / "evaluations_widowx", "pretrained", 0.2, ON_THE_ARM)
        evaluated(run / "evaluations_widowx", "regrasp_widowx/step_500", after, ON_THE_ARM)
        tuned(run, "regrasp_widowx", refereed=False)
    runs = runs_of(sorted(tmp_path.glob("seed*")), SPEC, "_widowx")
    assert [run.method for run in runs] == ["regrasp", "regrasp"]
    text = compare.markdown(rows_of(runs), runs)
    assert "| regrasp, 500 steps | forward, stochastic | 2 × 20 | 20" in text
    assert "| regrasp | seed0 | 2 | 0 | 0 | -, - | -, - | 0.0 |" in text
    assert json.loads(json.dumps(runs[0].stream.confusion)) == dict.fromkeys(runs[0].stream.confusion, 0)


def test_runs_that_were_not_evaluated_are_compared_by_the_judge_in_training(tmp_path, capsys):
    """Thirds of 12 episodes: forward 0 and 1 of 2 at first, all at last; what a fault cut short is no failure."""
    for seed, judged in enumerate(("000000001111", "100000001111")):
        trained(tmp_path / f"seed{seed}", "regrasp_widowx", judged, spec_of(composed("robot=widowx")), faults=seed)
        trained(tmp_path / f"seed{seed}", "regrasp_virtual", "0000", SPEC)  # another robot's
    compare.run(compose_compare(f"out={tmp_path}", "robot=widowx"))
    said = capsys.readouterr().out
    assert "| regrasp, forward, 48 steps | 2 | 25 (" in said
    row = next(row for row in json.loads((tmp_path / "comparison.json").read_text()) if row["direction"] == "forward")
    assert (row["first"]["values"], row["last"]["values"], row["gain"]["mean"]) == ([0, 50], [100, 100], 75)
    assert row["gain"]["low"] < 0 < row["first"]["high"] < 100  # two runs of two episodes say little
    assert "| regrasp | seed1 | 13 | 1 | 1 | -, - | -, - |" in said
    assert "not evaluated" in said
    assert (tmp_path / "comparison.svg").read_text().startswith("<svg")


def test_minutes_of_the_demo_are_in_the_table(tmp_path):
    run_folder(tmp_path, 0.2, 0.5)
    stages = {"fine-tune (regrasp)": {"seconds": 90.0, "settings": {}}}
    (tmp_path / "stages.json").write_text(json.dumps(stages))
    runs = runs_of([tmp_path], SPEC)
    assert compare.minutes_of(runs[0]) == 1.5
