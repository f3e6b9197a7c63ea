"""Sweeps by Hydra's launchers: each command's results where they always are, errors said once, by the command."""

import subprocess
import sys

import pytest
from helpers import ENVIRONMENT

from trajectories.store import TrajectoryStore

FEW = ("collect.demos=1", *(f"collect.{name}=0" for name in ("failures", "prior_episodes", "play", "aftermath")))


def swept(folder, *overrides):
    command = [sys.executable, "-m", "commands", "collect", "--multirun", "profile=tiny", "task=bin_weight", *FEW]
    command += ["robot.image_size=32", "workers=1", *overrides]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=290)


def episodes(folder, seed):
    with TrajectoryStore(folder / "runs" / "bin_weight" / f"seed{seed}" / "data", read_only=True) as store:
        return len(store.infos())


@pytest.mark.parametrize(
    "launcher",
    [("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1"), ()],
)
def test_a_command_of_a_sweep_that_fails_is_said_at_its_end_and_ends_no_other(tmp_path, launcher):
    done = swept(tmp_path, *launcher, "robot=widowx,twin", "seed=3")
    assert done.returncode == 2
    said = "regrasp: `regrasp collect` records the scripted expert in a simulation, not with robot=widowx"
    assert said in done.stderr
    assert "'robot=widowx'" in done.stderr  # among the settings of the one that failed
    assert "Traceback" not in done.stderr
    assert episodes(tmp_path, 3) == 2
    assert len(list((tmp_path / "runs" / "sweeps").glob("*/multirun.yaml"))) == 1


def test_submitit_runs_each_command_as_a_job_of_its_own(tmp_path):
    done = swept(tmp_path, "hydra/launcher=submitit_local", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert [episodes(tmp_path, seed) for seed in (0, 1)] == [2, 2]
    (logs,) = (tmp_path / "runs" / "sweeps").glob("*/.submitit")
    assert len(list(logs.rglob("*_log.out"))) == 2
