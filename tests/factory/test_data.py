"""A run's data are one robot's: a rehearsal is never taken for real demonstrations."""

import os

import pytest
from helpers.trajectory_samples import sample_episode
from hydra import compose, initialize_config_module

from commands import pretrain, teleop, train_reward
from commands.collect import collect
from factory.data import open_data, other_robot
from factory.spec import spec_of
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore


def settings(tmp_path, *overrides, verb="teleop"):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=["workers=1", "profile=tiny", f"run_dir={tmp_path}", *overrides])


def recorded(config, **changes):
    with open_data(config, read_only=False) as store:
        store.commit(sample_episode(1, spec=spec_of(config), **changes))


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ("robot=virtual", "robot=widowx", "robot = 'virtual', the settings ask for 'widowx'"),
        ("robot=twin", "robot=virtual", "robot = 'twin'"),
        ("robot=widowx", "robot=twin", "robot = 'widowx'"),
        ("robot.model=wx250s", "robot.model=vx300s", "arm = 'wx250s'"),
    ],
)
def test_a_rehearsal_and_the_arm_never_share_a_store(tmp_path, first, second, match):
    recorded(settings(tmp_path, first))
    for read_only in (True, False):
        with pytest.raises(ConfigError, match=f"{match}.*another run_dir"):
            open_data(settings(tmp_path, second), read_only=read_only)
    with open_data(settings(tmp_path, first), read_only=True) as store:
        assert len(store) == 1


@pytest.mark.parametrize("verb", [teleop, pretrain, train_reward])
def test_every_verb_refuses_another_robots_data_before_anything_else(tmp_path, verb):
    recorded(settings(tmp_path, "robot=virtual"))
    name = verb.__name__.split(".")[-1]
    with pytest.raises(ConfigError, match="robot = 'virtual'"):
        verb.run(settings(tmp_path, "robot=widowx", verb=name))


def test_collect_refuses_the_data_of_an_arm(tmp_path):
    recorded(settings(tmp_path, "robot=widowx"))
    with pytest.raises(ConfigError, match="robot = 'widowx'"):
        collect.run(settings(tmp_path, verb="collect"))


@pytest.mark.parametrize("verb", [teleop, collect])
def test_a_second_session_that_records_is_refused_before_anything_else(tmp_path, verb):
    config = settings(tmp_path, verb=verb.__name__.split(".")[-1])
    with open_data(config, read_only=False):
        with pytest.raises(ConfigError, match=rf"already runs in .*data \(process {os.getpid()}\): .*another run_dir"):
            verb.run(config)
        open_data(config, read_only=True).close()


def test_episodes_that_an_earlier_version_collected_are_the_twins(tmp_path):
    config = settings(tmp_path, "robot=twin")
    with TrajectoryStore(tmp_path / "data", spec_of(config)) as store:
        store.commit(sample_episode(1, spec=spec_of(config), metadata={"job": "a/b/c"}))
    with pytest.raises(ConfigError, match="robot = 'twin'"):
        open_data(settings(tmp_path, "robot=widowx"), read_only=True)
    open_data(config, read_only=True).close()


def test_learning_on_another_robot_than_the_datas_is_said(tmp_path):
    config = settings(tmp_path, "robot=twin", verb="learner")
    assert other_robot(config) == ""
    recorded(config)
    assert other_robot(config) == ""
    assert "robot=twin, not virtual" in other_robot(settings(tmp_path, "robot=virtual", verb="learner"))
