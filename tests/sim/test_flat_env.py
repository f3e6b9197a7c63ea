"""Flat observations: boxes only, with what the nested ones say."""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import sim.flat_env
from sim.register import TwinEnv
from sim.tasks import TASKS


def test_every_task_has_an_id_and_passes_gymnasiums_checker():
    assert set(sim.flat_env.register_all()) <= set(gymnasium.registry)
    env = gymnasium.make("sim.flat_env:regrasp/StackCubeFlat-v0", image_size=32, render_mode="rgb_array")
    assert all(isinstance(space, spaces.Box) for space in env.observation_space.values())
    check_env(env.unwrapped)
    env.close()


def test_it_says_what_the_nested_one_says():
    flat = sim.flat_env.FlatTwinEnv("pot_pick_place", cameras=("front", "wrist"), image_size=32)
    nested = TwinEnv("pot_pick_place", cameras=("front", "wrist"), image_size=32)
    words = TASKS["pot_pick_place"].instructions
    for direction in ("forward", "backward"):
        seen, _ = flat.reset(seed=4, options={"direction": direction})
        other, _ = nested.reset(seed=4, options={"direction": direction})
        for name in ("front", "wrist"):
            np.testing.assert_array_equal(seen[name], other["images"][name])
        np.testing.assert_array_equal(seen["state"], other["proprio"])
        assert [*words["forward"], *words["backward"]][int(seen["instruction"].argmax())] == other["instruction"]
        assert seen["instruction"].sum() == 1.0
    flat.close()
    nested.close()
