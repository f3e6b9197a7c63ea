"""`regrasp inspect`: which episode is the last, and what it says without a store."""

import pytest
from helpers.trajectory_samples import SPEC, sample_episode
from hydra import compose, initialize_config_module

from commands import inspect
from trajectories.errors import StoreError
from trajectories.store import TrajectoryStore


def config(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("inspect", list(overrides))


def test_the_last_is_the_newest_that_is_no_look_back(tmp_path):
    kinds = ["demo", "demo", "aftermath"]
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        assert inspect.newest_attempt(store) is None
        episodes = [sample_episode(number, metadata={"kind": kind}) for number, kind in enumerate(kinds)]
        for episode in episodes:
            store.commit(episode)
        assert inspect.newest_attempt(store) == episodes[1].id < episodes[2].id


def test_without_a_store_there_is_no_bar(tmp_path, capsys):
    with pytest.raises(StoreError, match="There is no trajectory store"):
        inspect.run(config(f"run_dir={tmp_path}"))
    assert capsys.readouterr() == ("", "")
