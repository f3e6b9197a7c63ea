"""Sweeps by Hydra's launchers: each command's results where they always are, errors said once, by the command."""

import signal
import subprocess
import sys
import time

import pytest
from helpers import ENVIRONMENT
from helpers.processes import alive, children

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_of_a_sweep_end_with_its_command(tmp_path, number):
    """They would go on for hours, and hold their folders."""
    command = [sys.executable, "-m", "commands", "collect", "--multirun", "hydra/launcher=joblib", "seed=0,1"]
    command += ["profile=tiny", "task=bin_weight", "robot.image_size=32", "workers=1", "collect.demos=10000"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=said, stderr=said)
    try:
        while not list(tmp_path.rglob("data/*")):
            assert process.poll() is None
            time.sleep(0.05)
        at_work = children(process.pid, "joblib.externals.loky.backend.popen_loky_posix")
        assert len(at_work) == 2
        process.send_signal(number)
        assert process.wait() in (130, -number)
        while any(alive(one) for one in at_work):  # the test's time limit ends a wait that would go on
            time.sleep(0.05)
    finally:
        process.kill()


def test_submitit_runs_each_command_as_a_job_of_its_own(tmp_path):
    done = swept(tmp_path, "hydra/launcher=submitit_local", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert [episodes(tmp_path, seed) for seed in (0, 1)] == [2, 2]
    (logs,) = (tmp_path / "runs" / "sweeps").glob("*/.submitit")
    assert len(list(logs.rglob("*_log.out"))) == 2
