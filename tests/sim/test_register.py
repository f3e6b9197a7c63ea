"""The Gymnasium ids: spaces, determinism, reward and termination from the physics predicate."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import sim.register
from sim.experts.scripted import ScriptedExpert
from sim.register import TwinEnv, env_id
from sim.tasks import TASKS
from trajectories.errors import ConfigError


def test_ids_of_both_targets_and_at_least_six_priors_are_registered():
    assert {"regrasp/PotPickPlace-v0", "regrasp/BinWeight-v0"} <= set(gymnasium.registry)
    priors = [name for name in TASKS.own if TASKS[name].role == "prior"]
    assert len(priors) >= 6
    assert {env_id(name) for name in priors} <= set(gymnasium.registry)


@pytest.mark.parametrize("name", ["pot_pick_place", "stack_cube"])
def test_passes_gymnasiums_checker(name):
    env = gymnasium.make(env_id(name), render_mode="rgb_array", image_size=32)
    check_env(env.unwrapped)
    env.close()


def test_expert_terminates_with_reward_zero_and_the_same_seed_gives_the_same_episode():
    env = TwinEnv("bin_weight", cameras=())
    runs = []
    for _ in range(2):
        observation, info = env.reset(seed=5, options={"direction": "backward"})
        assert info["direction"] == "backward"
        assert observation["instruction"] in TASKS["bin_weight"].instructions["backward"]
        expert = ScriptedExpert(env._twin, "backward", np.random.default_rng(0))
        rewards, proprio, terminated, truncated = [], [], False, False
        while not (terminated or truncated):
            observation, reward, terminated, truncated, info = env.step(expert.act(env._twin.env.observe()))
            rewards.append(reward)
            proprio.append(observation["proprio"])
        assert terminated
        assert not truncated
        assert info["success"]
        assert rewards[-1] == 0.0
        assert set(rewards[:-1]) == {-1.0}
        runs.append(np.stack(proprio))
    np.testing.assert_array_equal(runs[0], runs[1])
    env.close()


def test_time_is_up_after_the_limit():
    env = TwinEnv("pot_pick_place", cameras=(), max_steps=3)
    env.reset(seed=1)
    rest = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
    ends = [env.step(rest)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    env.close()


def test_an_unknown_direction_is_refused():
    env = TwinEnv("pot_pick_place", cameras=())
    with pytest.raises(ConfigError, match="sideways"):
        env.reset(options={"direction": "sideways"})
    env.close()


def test_ids_exist_after_registering_again():
    before = set(gymnasium.registry)
    sim.register.register_all()
    assert set(gymnasium.registry) == before
