"""Which share of the episodes sets things down elsewhere, and whether the policy says where."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from factory.displacing import displace_of, places_of
from factory.spec import spec_of
from robot.rollout.places import Places
from trajectories.errors import CheckpointError, ConfigError


def settled(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("finetune", ["task=bin_bench", *overrides])


def with_places(folder: Path, forward=1, backward=1, task="bin_bench"):
    """Settings of a run whose policy has so many places of each direction."""
    config = settled(f"run_dir={folder}")
    rows = {"forward": np.ones((forward, 4)), "backward": np.ones((backward, 4))}
    (folder / "pretrained").mkdir(exist_ok=True)
    Places(task, spec_of(config).digest, rows).save(folder / "pretrained")
    return partial(settled, f"run_dir={folder}")


@pytest.mark.parametrize("share", ["-0.1", "1", "1.5", "true", "half", ".nan", "null"])
def test_what_is_no_share_of_the_episodes_is_refused(share):
    with pytest.raises(ConfigError, match=r"task\.displace=.* is no share of the episodes"):
        displace_of(settled(f"task.displace={share}"))


def test_a_share_needs_an_empty_gripper_before_and_after():
    assert displace_of(settled("task.displace=0.3")) == 0.3
    assert displace_of(settled("task.displace=0")) == 0.0
    for key, why in (("keeps_tool=true", "it picks up nothing"), ("ends_open=false", "holding it may be the task")):
        with pytest.raises(ConfigError, match=rf"with task\.{key} {why}"):
            displace_of(settled("task.displace=0.4", f"+task.{key}"))


@pytest.mark.parametrize(("robot", "share"), [("twin", 0.4), ("virtual", 0.4), ("widowx", 0.0), ("robosuite", 0.0)])
def test_by_itself_it_is_for_the_twin_alone(tmp_path, robot, share):
    config = with_places(tmp_path)(f"robot={robot}")
    rows = {"forward": np.ones((1, 4)), "backward": np.ones((1, 4))}
    Places("bin_bench", spec_of(config).digest, rows).save(tmp_path / "pretrained")
    assert displace_of(config) == share


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, "has no places.json"),
        ({"backward": 0}, "has no place of the backward task"),
        ({"task": "bin_vase"}, "is of the task bin_vase, and this is bin_bench"),
    ],
    ids=["no file", "one direction", "another task"],
)
def test_without_places_it_is_none_by_itself_and_refused_where_it_was_asked_for(tmp_path, made, said):
    begin, told = with_places(tmp_path, **made), []
    if not made:
        (tmp_path / "pretrained" / "places.json").unlink()
    assert displace_of(begin()) == 0.0
    assert places_of(begin(), told.append) is None
    assert told[0].startswith("task.displace=auto: nothing is set down elsewhere.")
    assert said in told[0]
    with pytest.raises(CheckpointError, match=rf"{said}.*task\.displace=0"):
        places_of(begin("task.displace=0.4"))
    assert places_of(begin("task.displace=0"), told.append) is None
    assert len(told) == 1


def test_without_a_policy_it_is_none_and_what_was_asked_for_says_how_to_get_one(tmp_path):
    told = []
    assert places_of(settled(f"run_dir={tmp_path}"), told.append) is None
    assert told == []
    with pytest.raises(CheckpointError, match="There is no pre-trained policy"):
        places_of(settled(f"run_dir={tmp_path}", "task.displace=0.4"))


def test_places_are_those_of_the_policy(tmp_path):
    begin = with_places(tmp_path, forward=2, backward=3)
    assert [len(rows) for rows in places_of(begin()).of.values()] == [2, 3]
    assert [len(rows) for rows in places_of(begin("task.displace=0.1")).of.values()] == [2, 3]
