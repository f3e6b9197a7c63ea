"""Environments become a vector in and actions in [-1, 1] out."""

import sys
from collections import OrderedDict

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction, TimeLimit

from policies.gym.environment import EnvSettings, interface_of, make_env
from trajectories.errors import ConfigError, InvalidEpisodeError, MissingDependencyError

FLOAT32_MAX = float(np.finfo(np.float32).max)
VELOCITY, ANGLE = spaces.Box(0, 100, (1,), np.float64), spaces.Box(0, 1, (1,), np.float64)


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
        ({"action": spaces.Box(-np.inf, np.inf, (2,))}, "actions without bounds: entry 0"),
        ({"action": spaces.Box(-FLOAT32_MAX, FLOAT32_MAX, (2,))}, "actions without bounds: entry 0"),
        ({"action": spaces.Box(np.array([-1, -1e300]), np.array([1, 1e300]), dtype=np.float64)}, "bounds: entry 1"),
        ({"action": spaces.Box(np.float32([-1, 0.25]), np.float32([1, 0.25]))}, r"entry 1 can't vary.* 0\.25 to 0\.25"),
        (
            {"action": spaces.Box(np.array([1.0]), np.array([1.0 + 1e-12]), dtype=np.float64)},  # one float32 number
            "entry 0 can't vary",
        ),
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


class Pendulum(Scale):
    """Observes a velocity of 50 and an angle of 0.5, in a dictionary inside a tuple inside a dictionary."""

    def reset(self, *, seed=None, options=None):
        inner = {"velocity": np.array([50.0]), "angle": np.array([0.5])}
        return {"z": np.array([7.0]), "a": (np.array([9.0]), inner)}, {}


gymnasium.register("test/Pendulum-v0", entry_point=Pendulum, max_episode_steps=7)


def test_keys_are_in_alphabetical_order_however_the_space_was_written():
    inner = spaces.Dict(velocity=VELOCITY, angle=ANGLE)
    assert list(inner.spaces) == ["velocity", "angle"]  # gymnasium itself keeps the order of keywords
    tuples = spaces.Tuple((VELOCITY, inner))
    for space in (spaces.Dict(OrderedDict(z=VELOCITY, a=tuples)), spaces.Dict({"z": VELOCITY, "a": tuples})):
        env = make_env(EnvSettings("test/Pendulum-v0", {"observation": space}, modules=()))
        np.testing.assert_array_equal(env.reset()[0], [9.0, 0.5, 50.0, 7.0])
        np.testing.assert_array_equal(env.observation_space.high, [100, 1, 100, 100])


def rescaled():
    """A user's entry point: actions of -2 ... 2 inside, of -1 ... 1 outside, where data are recorded."""
    return RescaleAction(Scale(action=spaces.Box(-2, 2, (1,), np.float32)), np.float32(-1), np.float32(1))


gymnasium.register("test/Rescaled-v0", entry_point=rescaled, max_episode_steps=7)


def test_actions_of_data_are_those_of_the_outermost_space():
    env = make_env(EnvSettings("test/Rescaled-v0", modules=()))
    interface = interface_of(env)
    np.testing.assert_array_equal([interface.low, interface.high], [[-1], [1]])
    recorded = np.array([[0.9]], np.float32)
    acted = interface.scaled(recorded)[0]  # what a perfect clone does
    np.testing.assert_allclose(acted, [0.9], rtol=1e-6)
    env.reset()
    np.testing.assert_allclose(env.step(acted)[0], [1.8], rtol=1e-6)  # as when 0.9 was recorded


class Breaking(Scale):
    """Observes or rewards `value` in entry 1 at step 7 of the second episode, and zeros before."""

    def __init__(self, value, rewards=False):
        super().__init__()
        self._value, self._rewards, self._episode = value, rewards, 0

    def reset(self, *, seed=None, options=None):
        self._steps, self._episode = 0, self._episode + 1
        return np.zeros(2), {}

    def step(self, action):
        self._steps += 1
        wrong = self._value if self._steps == 7 and self._episode == 2 else 0.0
        return np.array([0.0, 0.0 if self._rewards else wrong]), wrong if self._rewards else 0.0, False, False, {}


gymnasium.register("test/Breaking-v0", entry_point=Breaking, max_episode_steps=9)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"value": np.nan}, r"observed nan in entry 1 of 2 at step 7 of an episode.*last checkpoint is as it was"),
        ({"value": 1e39}, r"observed 1e\+39 in entry 1 of 2 at step 7"),  # beyond float32
        ({"value": np.nan, "rewards": True}, r"gave the reward nan at step 7"),
        ({"value": -np.inf, "rewards": True}, r"gave the reward -inf at step 7"),
    ],
)
def test_a_step_that_is_not_finite_stops_everything_and_says_where(kwargs, message):
    env = make_env(EnvSettings("test/Breaking-v0", kwargs, modules=()))
    for _ in range(2):
        env.reset()
        for _ in range(6):
            env.step(np.zeros(2, np.float32))
    with pytest.raises(InvalidEpisodeError, match=message):
        env.step(np.zeros(2, np.float32))


def test_the_first_observation_must_be_finite_too():
    space = spaces.Dict(a=spaces.Box(0, np.inf, (1,)), z=spaces.Box(0, 1, (1,)))
    env = make_env(EnvSettings("test/Start-v0", {"observation": space}, modules=()))
    with pytest.raises(InvalidEpisodeError, match=r"observed inf in entry 0 of 2 at reset"):
        env.reset()


class Start(Scale):
    """Begins at infinity."""

    def reset(self, *, seed=None, options=None):
        return {"a": np.array([np.inf], np.float32), "z": np.zeros(1, np.float32)}, {}


class Cutting(Scale):
    """Cuts its episodes itself, as robosuite's do."""

    horizon = 5


gymnasium.register("test/Start-v0", entry_point=Start, max_episode_steps=7)
gymnasium.register("test/Endless-v0", entry_point=Scale)
gymnasium.register("test/Cutting-v0", entry_point=Cutting)
gymnasium.register("test/Limited-v0", entry_point=lambda: TimeLimit(Scale(), 4))


def test_an_environment_without_a_time_limit_needs_max_steps():
    with pytest.raises(ConfigError, match=r"test/Endless-v0 has no time limit.*Give max_steps=1000"):
        make_env(EnvSettings("test/Endless-v0", modules=()))
    for name, limit in (("Endless", 3), ("Cutting", None), ("Limited", None)):
        make_env(EnvSettings(f"test/{name}-v0", max_steps=limit, modules=())).close()
    make_env(EnvSettings("regrasp/PushPuckState-v0", modules=("sim.state_env",))).close()


OWN_MODULE = """
import gymnasium, numpy as np
from gymnasium import spaces

class One(gymnasium.Env):
    observation_space = action_space = spaces.Box(-1, 1, (1,))
    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.zeros(1, np.float32), 0.0, True, False, {}

gymnasium.register("One-v0", entry_point=One, max_episode_steps=3)
"""


def test_a_module_in_the_working_folder_is_found_by_the_installed_command(tmp_path, monkeypatch):
    """A console script, unlike `python -m`, doesn't have the working folder on the path."""
    (tmp_path / "regrasp_test_envs.py").write_text(OWN_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    assert interface_of(make_env(EnvSettings("regrasp_test_envs:One-v0", modules=()))).observations == 1
    assert sys.path[-1] == str(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"Put regrasp_test_none\.py into this folder.* PYTHONPATH"):
        make_env(EnvSettings("regrasp_test_none:One-v0", modules=()))
