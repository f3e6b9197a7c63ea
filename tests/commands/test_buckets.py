"""Stores in buckets on the command line: copied there, looked at, written for others, and where they are refused."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers import ENVIRONMENT
from helpers.doors import SPEC, episodes_of, recorded, settings
from helpers.s3_server import BUCKET, SECRET
from helpers.trajectory_samples import assert_same_episode

from commands.exporting.exporting import run as run_export
from commands.settings.addresses import TAKEN, require_folders
from commands.verbs import VERBS
from factory.data import ROBOT_FILE
from trajectories.errors import ConfigError
from trajectories.s3.path import S3Path
from trajectories.store import TrajectoryStore


@pytest.fixture
def store(tmp_path):
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        for number in range(3):
            store.commit(recorded(number, 3 + number))
        store.commit(replace(recorded(4, 3), metadata={"kind": "aftermath"}))
    (tmp_path / "data" / ROBOT_FILE).write_text("{}")
    return store


@pytest.fixture
def address(tmp_path):
    return S3Path.of(f"s3://{BUCKET}/{tmp_path.name}/demos")


def regrasp(*arguments, cwd):
    command = [sys.executable, "-m", "commands", *arguments, "progress=false"]
    environment = {
        **ENVIRONMENT,
        **{name: os.environ[name] for name in os.environ if name.startswith(("AWS_", "XDG_"))},
    }
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=environment)


def test_a_store_is_copied_looked_at_and_written_for_others(store, address, s3, tmp_path, capsys):
    for said in ("4 episodes were copied to {}.\n", "0 episodes were copied to {}; 4 were there already.\n"):
        run_export(settings("export", f"store={store.path}", f"to={address}"))
        assert capsys.readouterr().out == said.format(address)
    assert (address / ROBOT_FILE).read_text() == "{}"
    for mine, there in zip(episodes_of(store.path), episodes_of(address), strict=True):
        assert_same_episode(mine, there)
    report = regrasp("inspect", f"store={address}", f"out={tmp_path}/seen", cwd=tmp_path)
    assert report.stdout.startswith(f"Trajectory store {address}\n4 episodes"), report.stderr
    assert "Integrity: every byte of 4 episodes is as written." in report.stdout
    run_export(settings("export", f"store={address}", f"to={tmp_path}/pot", "format=lerobot_v3", "lossless=true"))
    assert f"3 episodes are in {tmp_path}/pot (lerobot_v3)." in capsys.readouterr().out
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".log", ".yaml", "")]
    assert written
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_a_choice_is_copied_and_a_format_is_refused(store, address, s3, tmp_path, capsys):
    run_export(settings("export", f"store={store.path}", f"to={address}", "outcomes=[failure]"))
    assert f"1 episodes were copied to {address}." in capsys.readouterr().out
    with pytest.raises(ConfigError, match=f"{address} takes a trajectory store as it is, without format"):
        run_export(settings("export", f"store={store.path}", f"to={address}", "format=lerobot_v3"))
    with pytest.raises(ConfigError, match="or to=s3://BUCKET/PREFIX for a copy of the store itself"):
        run_export(settings("export", f"store={store.path}", f"to={tmp_path}/x"))


@pytest.mark.parametrize(
    ("verb", "override"),
    [
        ("collect", "run_dir=s3://lab/run"), ("teleop", "run_dir=s3://lab/run"), ("import", "into=s3://lab/x"),
        ("finetune", "run_dir=s3://lab/run"), ("review", "store=s3://lab/x"), ("pretrain", "run_dir=s3:/lab/run"),
    ],
)  # fmt: skip
def test_recording_into_a_bucket_is_refused_with_what_to_do(verb, override):
    config, (key, _, value) = settings(verb, override), override.partition("=")
    with pytest.raises(
        ConfigError, match=rf"{key}={value} can't be in a bucket: .*goes to a disk.*regrasp export store="
    ):
        require_folders(verb, config)


def test_the_command_says_so_before_anything_is_made(s3, tmp_path):
    refused = regrasp("collect", "run_dir=s3://lab/run", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("regrasp: run_dir=s3://lab/run can't be in a bucket: what is recorded and learned")
    assert os.listdir(tmp_path) == []


def test_verbs_that_read_stores_take_addresses():
    assert set(TAKEN) <= set(VERBS)
    for verb, override in (
        ("pretrain", "data=[s3://lab/a,runs/b]"), ("train_reward", "data=s3://lab/a"), ("inspect", "store=s3://lab/a"),
        ("train_reward", "train_reward.sessions=[s3://lab/a]"), ("label", "store=s3://lab/a"),
        ("evaluate_reward", "evaluate_reward.store=s3://lab/a"), ("export", "to=s3://lab/a"),
    ):  # fmt: skip
        require_folders(verb.replace("_", "-"), settings(verb, override))
