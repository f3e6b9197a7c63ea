"""Environments become a vector in and actions in [-1, 1] out."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policies.gym.environment import EnvSettings, interface_of, make_env
from trajectories.errors import ConfigError, MissingDependencyError


class Scale(gymnasium.Env):
    """Tells what action arrived; its spaces can be anything."""

    def __init__(self, observation=None, action=None):
        self.observation_space = observation or spaces.Box(-9, 9, (2,), np.float64)
        self.action_space = action or spaces.Box(np.array([0.0, -4.0]), np.array([10.0, 4.0]), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return np.asarray(action, float), 0.0, False, False, {}


gymnasium.register("test/Scale-v0", entry_point=Scale, max_episode_steps=7)


def test_goals_are_flattened_in_alphabetical_order():
    env = make_env(EnvSettings("PointMaze_UMaze-v3", {"continuing_task": False}, max_steps=5))
    seen, _ = env.reset(seed=3)
    raw, _ = gymnasium.make("PointMaze_UMaze-v3", continuing_task=False).reset(seed=3)
    np.testing.assert_array_equal(seen, np.concatenate([raw["achieved_goal"], raw["desired_goal"], raw["observation"]]))
    interface = interface_of(env)
    assert (interface.observations, interface.actions) == (8, 2)
    ends = [env.step(np.zeros(2, np.float32))[3] for _ in range(5)]
    assert ends == [False, False, False, False, True]


def test_actions_are_rescaled_there_and_data_back():
    env = make_env(EnvSettings("test/Scale-v0", modules=()))
    env.reset(seed=0)
    arrived = env.step(np.array([-1.0, 0.5], np.float32))[0]
    np.testing.assert_allclose(arrived, [0.0, 2.0], atol=1e-6)
    interface = interface_of(env)
    np.testing.assert_allclose(interface.scaled(np.array([[0.0, 2.0], [7.5, -4.0]])), [[-1.0, 0.5], [0.5, -1.0]])
    np.testing.assert_array_equal(interface.low, [0.0, -4.0])


def test_the_environments_own_limit_stays_unless_another_is_given():
    for given, expected in ((None, 7), (3, 3)):
        env = make_env(EnvSettings("test/Scale-v0", max_steps=given, modules=()))
        env.reset(seed=0)
        assert [env.step(np.zeros(2, np.float32))[3] for _ in range(expected)].index(True) == expected - 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"action": spaces.Discrete(3)}, "expected a vector of continuous ones"),
        ({"action": spaces.Box(-np.inf, np.inf, (2,))}, "actions without bounds"),
        ({"observation": spaces.Box(0, 255, (8, 8, 3), np.uint8)}, "observes images"),
        ({"observation": spaces.Dict({"x": spaces.Box(0, 255, (8, 8), np.uint8)})}, "observes images"),
        ({"observation": spaces.Dict({"word": spaces.Text(5)})}, "doesn't become a vector"),
        ({"colour": 3}, "doesn't take the arguments {'colour': 3}"),
    ],
)
def test_what_does_not_fit_is_refused(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        make_env(EnvSettings("test/Scale-v0", kwargs, modules=()))


def test_an_unknown_id_gets_a_hint_and_a_missing_module_its_name():
    with pytest.raises(ConfigError, match=r"Did you mean .*PointMaze_UMaze-v3"):
        make_env(EnvSettings("PointMaze_UMazes-v3"))
    with pytest.raises(MissingDependencyError, match=r"needs a module that isn't installed.*no_such_package"):
        make_env(EnvSettings("no_such_package:Thing-v0"))
    with pytest.raises(ConfigError, match="max_steps=0"):
        EnvSettings("x", max_steps=0)
