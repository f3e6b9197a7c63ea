"""An evaluation takes the place of the one before whole, when it is done, and never that of a longer one."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.evaluated_runs import CONDITIONS

from commands.evaluate.conditions import Evaluation, fits
from commands.evaluate.evaluate import (
    Plan,
    TrialResult,
    done_before,
    require_longer,
    summarise_trials,
    table,
    write_results,
)
from factory.evaluated_policy import PolicySource
from trajectories.errors import ConfigError

POLICY = Path(__file__).parents[2] / "fixtures" / "written_at_106ae2a" / "pretrained"
PLAN = Plan(PolicySource(str(POLICY)), 2, ("stochastic",), 70000, 40, 2)


def results(trials, success, stop_after=None):
    """What trials give, with films of 16x16 pixels; Ctrl-C after some."""
    for count, trial in enumerate(trials):
        if count == stop_after:
            raise KeyboardInterrupt
        frames = np.full((2, 16, 16, 3), count, np.uint8)
        result = TrialResult(trial.direction, trial.mode, trial.index, success, 7, "put it there")
        yield trial, (result, frames if trial.video else None)


def write(root, plan, success, conditions=CONDITIONS, stop_after=None):
    out = root / conditions.digest / "pretrained"
    return write_results(plan, lambda trials: results(trials, success, stop_after), out, conditions, dict)


def films(folder):
    return sorted(path.name for path in folder.glob("*.mp4"))


def test_unsure_episodes_are_counted_apart_and_are_no_failures(tmp_path):
    turns = iter([True, None, None, None])  # forward, then backward

    def run(trials):
        return (
            (trial, (replace(result, success=next(turns)), film)) for trial, (result, film) in results(trials, True)
        )

    report = write_results(PLAN, run, tmp_path / CONDITIONS.digest / "pretrained", CONDITIONS, dict)
    cells = report["cells"]
    counts = {name: [cell[key] for key in ("episodes", "unsure", "successes", "rate")] for name, cell in cells.items()}
    assert counts == {"forward/stochastic": [1, 1, 1, 1.0], "backward/stochastic": [0, 2, 0, None]}
    assert [line.split()[-1] for line in table(cells).splitlines()] == ["unsure", "1", "2"]
    assert "unsure" not in table({"forward/stochastic": cells["forward/stochastic"] | {"unsure": 0}})
    assert films(tmp_path / CONDITIONS.digest / "pretrained")[0] == "backward_stochastic_0_unsure.mp4"
    assert [episode["success"] for episode in report["episodes"]] == [None, None, True, None]
    assert list(Evaluation(tmp_path, "pretrained", {}, report).cells) == ["forward/stochastic"]
    with pytest.raises(ConfigError, match="with 2 episodes"):  # they were run, all the same
        require_longer(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=1))


def test_an_interrupted_evaluation_leaves_the_one_before_with_its_films(tmp_path):
    write(tmp_path, PLAN, True)
    folder = tmp_path / CONDITIONS.digest / "pretrained"
    before = (folder / "result.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, PLAN, False, stop_after=3)
    assert (folder / "result.json").read_bytes() == before
    assert set(json.loads(before)["videos"]) <= set(films(folder))
    written = write(tmp_path, PLAN, False)
    assert films(folder) == written["videos"] == json.loads((folder / "result.json").read_text())["videos"]
    assert all("failure" in name for name in films(folder))


def test_an_interrupted_evaluation_goes_on_with_what_is_left(tmp_path):
    asked = []

    def run(trials):
        asked.append([(trial.direction, trial.index) for trial in trials])
        return results(trials, True, 3 if len(asked) == 1 else None)

    there = tmp_path / CONDITIONS.digest / "pretrained"
    with pytest.raises(KeyboardInterrupt):
        write_results(PLAN, run, there, CONDITIONS, dict)
    assert not (there / "result.json").exists()
    report = write_results(PLAN, run, there, CONDITIONS, dict)
    assert asked[1] == asked[0][3:]
    whole = write(tmp_path / "at_once", PLAN, True)
    assert {**report, "seconds": 0} == {**whole, "seconds": 0}
    assert {path.suffix for path in there.iterdir()} == {".json", ".mp4"}


def test_episodes_of_another_policy_are_not_gone_on_with(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, PLAN, False, stop_after=3)
    other = SimpleNamespace(digest="f" * 64, version=1)
    monkeypatch.setattr("commands.evaluate.evaluate.open_policy", lambda source: other)
    report = write(tmp_path, PLAN, True)
    assert [episode["success"] for episode in report["episodes"]] == [True] * 4


def test_unlike_conditions_do_not_overwrite_each_other(tmp_path):
    narrow = replace(CONDITIONS, spread="narrow")
    write(tmp_path, PLAN, False)
    write(tmp_path, PLAN, True, narrow)
    for conditions, rate in ((CONDITIONS, 0.0), (narrow, 1.0)):
        result = done_before(tmp_path, "pretrained", conditions, PLAN).result
        assert result["conditions"] == conditions.to_dict()
        assert result["cells"]["forward/stochastic"]["rate"] == rate


def test_a_shorter_evaluation_does_not_take_the_place_of_a_longer_one(tmp_path):
    write(tmp_path, PLAN, True)
    assert done_before(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=1)) is not None
    assert done_before(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=3)) is None
    require_longer(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=3))
    with pytest.raises(ConfigError, match=r"with 2 episodes \(stochastic\), and 1 .*evaluate\.episodes=2"):
        require_longer(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=1))
    with pytest.raises(ConfigError, match=r"and 9 .deterministic. would take its place"):
        require_longer(tmp_path, "pretrained", CONDITIONS, replace(PLAN, episodes=9, modes=("deterministic",)))


def test_figures_under_a_shift_are_never_taken_for_those_without(tmp_path):
    shifted = replace(CONDITIONS, shift="light", frame_loss=0.2)
    assert "shift" not in CONDITIONS.to_dict()  # so that earlier figures keep their digests
    assert shifted.to_dict()["frame_loss"] == 0.2
    write(tmp_path, PLAN, False)
    assert done_before(tmp_path, "pretrained", shifted, PLAN) is None
    plain, other = CONDITIONS.to_dict(), shifted.to_dict()
    assert fits(plain, plain)
    assert fits(other, other)
    assert not fits(plain, other)
    assert not fits(other, plain)
    assert fits({name: value for name, value in plain.items() if name != "arm"}, plain)  # an earlier version noted less


def test_a_task_of_parts_has_its_mean_share_in_figures_and_table():
    trials = [
        TrialResult("forward", "stochastic", index, share == 1, 7, "do it", share)
        for index, share in enumerate((1.0, 3 / 7))
    ]
    cells = summarise_trials(trials)
    assert cells["forward/stochastic"]["mean_share"] == pytest.approx(5 / 7)
    assert table(cells).endswith("71 % of the parts")
    whole = summarise_trials([replace(trial, share=None) for trial in trials])
    assert "mean_share" not in whole["forward/stochastic"]
    assert "parts" not in table(whole)
