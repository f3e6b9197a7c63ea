"""`depth` of a camera's settings, from the key to the stored episode."""

from dataclasses import replace

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from factory.spec import depth_names, spec_of
from factory.twin import TwinSettings, cached_twin
from trajectories.errors import ConfigError
from trajectories.recorder import Recorder
from trajectories.store import TrajectoryStore

OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)


def settings(*overrides, verb="collect"):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=list(overrides))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["robot=twin"], ()),
        (["robot=twin", "robot.cameras=[front,wrist]", "robot.depth=[wrist]"], ("wrist",)),
        (["robot=virtual"], ()),
        (["robot=virtual", "robot.cameras.front.kind=realsense", "+robot.cameras.front.depth=true"], ("front",)),
        (["robot=widowx"], ()),
        (["robot=widowx", "robot.cameras.front.depth=true"], ("front",)),
    ],
)
def test_every_robot_says_which_cameras_have_depth(overrides, expected):
    config = settings(*overrides)
    assert depth_names(config) == spec_of(config).depth == expected


def test_depth_of_a_camera_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"Depth of top .* front"):
        spec_of(settings("robot=twin", "robot.depth=[top]"))


def test_the_twins_depth_gets_into_the_store(tmp_path):
    config = settings("robot=twin", "robot.depth=[front]", "robot.image_size=32")
    twin = cached_twin(replace(TwinSettings.from_config(config), randomise=False))
    env = twin.env
    assert env.robot_spec == spec_of(config)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    recorder = Recorder(env.robot_spec)
    recorder.begin(env.observe(), task="pot_pick_place", direction="forward")
    applied = env.apply(np.zeros(7, np.float32))
    seen = env.observe()
    recorder.step(seen, np.zeros(7, np.float32), applied.executed)
    episode = recorder.finish("failure", truncated=True)
    with TrajectoryStore(tmp_path, env.robot_spec) as store:
        store.commit(episode)
        back = store.read(episode.id).depth["front"]
    assert np.array_equal(back[1], seen.depth["front"])
    assert 300 < np.median(back[back > 0]) < 3000  # mm, from a camera beside the table
