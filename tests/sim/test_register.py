"""The Gymnasium ids: spaces, determinism, reward and termination from the physics predicate."""

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from helpers import ROOT

import sim.register
from sim.experts.scripted import ScriptedExpert
from sim.register import TwinEnv, env_id
from sim.tasks import TASKS
from trajectories.errors import ConfigError, SafetyError


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


def run(code, folder):
    """What a fresh process prints, with `folder` on its search path."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def test_an_id_with_its_module_needs_no_import_of_ours(tmp_path):
    """As docs/comparing.md says, in fresh processes, the workers of vectorised environments included."""
    code = """
import gymnasium
env = gymnasium.make("sim.register:regrasp/PotPickPlace-v0", image_size=32)
print(env.reset(seed=0)[1]["direction"])
two = gymnasium.make_vec("sim.state_env:regrasp/PushPuckState-v0", num_envs=2, vectorization_mode="async")
print(two.reset(seed=0)[0].shape[0])
two.close()
"""
    assert run(code, tmp_path).split() == ["forward", "2"]


def test_gymnasium_reads_no_entry_points(tmp_path):
    """When this fails, Gymnasium finds the ids of installed packages again: give pyproject.toml `gymnasium.envs`."""
    information = tmp_path / "lab-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[gymnasium.envs]\n__root__ = lab_ids:register\nlab = lab_ids:register\n"
    )
    registers = "def register():\n    gymnasium.register('lab/Twin-v0', entry_point='sim.register:TwinEnv')\n"
    (tmp_path / "lab_ids.py").write_text(f"import gymnasium\n\n{registers}")
    code = """
import importlib.metadata
import gymnasium
assert {point.name for point in importlib.metadata.entry_points(group="gymnasium.envs")} >= {"lab", "__root__"}
for name in ("lab/Twin-v0", "regrasp/PotPickPlace-v0"):
    try:
        gymnasium.make(name)
    except gymnasium.error.NamespaceNotFound:
        print("none")
"""
    assert run(code, tmp_path).split() == ["none", "none"]


def test_an_instruction_in_any_script_lies_in_the_space():
    env = TwinEnv("pot_pick_place", cameras=())
    observation, _ = env.reset(seed=1)
    for text in ("setze den Topf zurück", "把锅放在架子上"):
        assert env.observation_space.contains({**observation, "instruction": text})
    assert not env.observation_space.contains({**observation, "instruction": "x" * 401})
    assert not env.observation_space.contains({**observation, "instruction": 3})
    env.close()


def test_a_reset_heals_what_a_fault_stopped_but_no_hold_of_a_person():
    env, up = TwinEnv("pot_pick_place", cameras=()), np.array([0, 0, 0.3, 0, 0, 0, 1], np.float32)
    env.reset(seed=1)
    env._twin.env.safety.faults.trip("the wrist hit the table", "fault")
    with pytest.raises(SafetyError, match="hit the table"):
        env.step(up)
    env.reset(seed=1)
    before = env._twin.scene.physics.tip_position()
    env.step(up)
    assert env._twin.scene.physics.tip_position()[2] > before[2]
    env._twin.env.stop("somebody said hold")
    env.reset(seed=1)
    with pytest.raises(SafetyError, match="somebody said hold"):
        env.step(up)
    env.close()
