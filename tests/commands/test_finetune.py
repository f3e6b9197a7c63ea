"""`regrasp finetune` and its two processes: their settings, and why one ended."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import ENVIRONMENT
from helpers.trajectory_samples import SPEC
from hydra import compose, initialize_config_module

from commands import actor, finetune, learner
from commands.finetune import reason_in
from commands.learner import learner_settings, require_same_settings
from factory.policy import agent_config
from factory.run_folders import OUTBOX, finetune_folder
from factory.spec import spec_of
from policies.learner.run_conditions import keep_run_conditions
from policies.learner.run_folder import CONDITIONS, EPISODES
from robot.rollout.places import Places
from trajectories.conditions import keep_conditions
from trajectories.errors import CheckpointError, ConfigError
from trajectories.store import TrajectoryStore
from trajectories.writer_lock import only_writer

COMMAND = [sys.executable, "-m", "commands"]
MINE = """
name: push_puck
prior: []
max_steps: 40
instructions: {forward: [push the puck onto the green mat], backward: [push the puck onto the blue mat]}
"""


def config(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("learner", list(overrides))


def test_children_find_the_same_files_and_say_why_they_end(tmp_path):
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "mine.yaml").write_text(MINE)
    (tmp_path / "theirs" / "agent").mkdir(parents=True)
    (tmp_path / "theirs" / "agent" / "theirs.yaml").write_text("defaults: [default]\n")
    search = [f"--config-dir={tmp_path}/mine", f"hydra.searchpath=[file://{tmp_path}/theirs]"]
    done = subprocess.run(
        [*COMMAND, "finetune", *search, "task=mine", "agent=theirs", "run_dir='runs/a (1)'"],
        capture_output=True, encoding="utf-8", cwd=tmp_path, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Could not find" not in done.stderr  # what a child without the search path says
    assert "regrasp: There is no" in done.stderr, done.stderr  # the child's own reason: nothing was pre-trained
    assert "regrasp pretrain" in done.stderr


def test_the_reason_is_the_last_error_to_its_end_however_long():
    bar = "acting:   0%|   | 0/6000\rregrasp: old\n"
    assert reason_in(bar + "regrasp: There is no policy.\nRun `regrasp pretrain`.\n") == (
        "regrasp: There is no policy.\nRun `regrasp pretrain`."
    )
    trace = ["Traceback (most recent call last):", *(f'  File "{n}.py"' for n in range(9)), "ValueError: 3"]
    assert reason_in("\n".join(["news", *trace])) == "\n".join(trace)
    hydra = "In 'learner': Could not find 'task/mine'\n\nAvailable options in 'task':\n\town\n\nSearch path:\n\ta\n"
    assert reason_in(hydra).startswith("In 'learner': Could not find 'task/mine'")
    assert reason_in("a\nb") == "a\nb"
    assert reason_in("") == "nothing"
    assert len(reason_in("\n".join(["Traceback x", *map(str, range(500))])).splitlines()) == 41


@pytest.mark.parametrize("steps", [400, 500])
def test_a_warm_up_that_a_run_never_leaves_is_refused_with_what_to_do(steps):
    with pytest.raises(ConfigError, match=r"finetune\.warmup_steps=500 leaves none of the finetune\.steps=") as caught:
        learner_settings(config(f"finetune.steps={steps}"))
    advice = f"finetune.warmup_steps={steps // 4}"
    assert advice in str(caught.value)
    learner_settings(config(f"finetune.steps={steps}", advice))
    learner_settings(config("finetune.steps=2000"))
    learner_settings(config("finetune.steps=501"))


@pytest.mark.parametrize("verb", [learner, actor, finetune])
def test_neither_side_waits_for_another_that_refused_the_same_settings(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config("finetune.steps=400")
    with pytest.raises(ConfigError, match=r"warmup_steps=500 leaves none of the finetune\.steps=400"):
        begin(verb, settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [learner, actor, finetune])
def test_settings_of_another_profile_are_refused_before_anything_is_started_or_loaded(verb, tmp_path):
    begun, other = (config(f"profile={name}", "robot=virtual", f"run_dir={tmp_path}/run") for name in ("tiny", "quick"))
    run = finetune_folder(begun)
    keep_run_conditions(run, learner_settings(begun), agent_config(begun), str(begun.task.name), int(begun.seed), "abc")
    with pytest.raises(
        ConfigError, match=r"warmup_steps = 60, the settings ask for 500.*finetune\.accept_changes=true"
    ):
        begin(verb, other)
    assert [path.name for path in run.iterdir()] == [CONDITIONS]
    require_same_settings(begun)
    other.finetune.accept_changes = True
    require_same_settings(other)


def test_a_run_keeps_to_the_share_of_episodes_that_set_things_down_elsewhere(tmp_path):
    begun, other = (config(f"run_dir={tmp_path}/run", f"task.displace={share}") for share in (0.4, 0.1))
    assert learner_settings(begun).displace == 0.4
    with pytest.raises(CheckpointError, match="There is no pre-trained policy"):
        require_same_settings(begun)
    rows = {"forward": np.ones((1, 4)), "backward": np.ones((1, 4))}
    (tmp_path / "run" / "pretrained").mkdir(parents=True)
    Places(str(begun.task.name), spec_of(begun).digest, rows).save(tmp_path / "run" / "pretrained")
    keep_run_conditions(
        finetune_folder(begun), learner_settings(begun), agent_config(begun), str(begun.task.name), 0, "abc"
    )
    require_same_settings(begun)
    with pytest.raises(ConfigError, match=r"task\.displace = 0\.4, the settings ask for 0\.1"):
        require_same_settings(other)


def test_a_run_begun_before_that_could_be_set_went_without(tmp_path):
    begun, other = (config(f"run_dir={tmp_path}/run", f"task.displace={share}") for share in ("auto", 0.1))
    conditions = {**learner_settings(begun).conditions(agent_config(begun)), "task": str(begun.task.name), "seed": 0}
    assert conditions.pop("task.displace") == 0.0
    keep_conditions(finetune_folder(begun) / CONDITIONS, conditions, "The run")
    require_same_settings(begun)
    rows = {"forward": np.ones((1, 4)), "backward": np.ones((1, 4))}
    (tmp_path / "run" / "pretrained").mkdir()
    Places(str(begun.task.name), spec_of(begun).digest, rows).save(tmp_path / "run" / "pretrained")
    with pytest.raises(ConfigError, match=r"task\.displace = 0\.0, the settings ask for 0\.1"):
        require_same_settings(other)


@pytest.mark.parametrize(
    ("verb", "store"),
    [(learner, EPISODES), (actor, OUTBOX), (finetune, EPISODES), (finetune, OUTBOX), (finetune, None)],
)
def test_a_second_session_in_a_folder_is_refused_before_anything_is_started_or_loaded(verb, store, tmp_path):
    settings = config(f"run_dir={tmp_path}/run")
    run = finetune_folder(settings)
    other = only_writer(run) if store is None else TrajectoryStore(run / store, SPEC)
    words = rf"already runs in .*finetune_regrasp.* \(process {os.getpid()}\): .* end it, or give another run_dir"
    with other, pytest.raises(ConfigError, match=words):
        begin(verb, settings)
    assert not run.is_dir() if store is None else [path.name for path in run.iterdir()] == [store]


def begin(verb, settings):
    """Run a verb, without what Hydra knows of its overrides."""
    verb.finetune(settings, []) if verb is finetune else verb.run(settings)
