"""The twin's tasks by state: what the numbers mean, and that a reset forgets everything."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim.state_env import AXES, STATE_NAMES, TwinStateEnv, has_fixed_goal, state_env_id
from sim.tasks import TASKS
from trajectories.errors import ConfigError

PUSH_AXES = ["x", "y", "z", "gripper"]


@pytest.fixture(scope="module")
def puck():
    env = TwinStateEnv("push_puck", axes=PUSH_AXES, max_steps=12)
    yield env
    env.close()


def named(observation):
    return dict(zip(STATE_NAMES, observation.tolist(), strict=True))


def test_passes_gymnasiums_checker():
    env = gymnasium.make(state_env_id("push_puck"))
    check_env(env.unwrapped)
    assert env.action_space.shape == (7,)
    env.close()


def test_tasks_whose_goal_moves_are_left_out():
    assert state_env_id("push_puck") == "regrasp/PushPuckState-v0"
    assert not {state_env_id(name) for name in ("stack_cube", "pot_lid", "candy_sweeping")} & set(gymnasium.registry)
    registered = {state_env_id(name) for name in TASKS.own if has_fixed_goal(TASKS[name])}
    assert registered <= set(gymnasium.registry)


def test_the_numbers_are_those_of_the_scene(puck):
    seen = named(puck.reset(seed=3)[0])
    position, _ = puck._twin.scene.physics.body_pose("puck")
    np.testing.assert_allclose([seen[f"object_{axis}"] for axis in "xyz"], position, rtol=1e-6)
    assert position[1] > 0.05  # starts on the left mat ...
    goal = [seen[f"object_{axis}"] + seen[f"object_to_goal_{axis}"] for axis in "xy"]
    np.testing.assert_allclose(goal, (0.28, -0.112), atol=1e-6)  # ... and has to be on the right one
    tip = puck._twin.scene.physics.tip_position()
    np.testing.assert_allclose([seen[f"tip_to_object_{axis}"] for axis in "xyz"], position - tip, atol=1e-6)
    assert seen["object_yaw_cos"] ** 2 + seen["object_yaw_sin"] ** 2 == pytest.approx(1.0, abs=1e-6)


def test_an_object_beside_the_table_stays_at_its_height(puck):
    puck.reset(seed=3)
    puck._twin.scene.physics.set_free_body("puck", (0.9, 0.3, 0.05), (1.0, 0.0, 0.0, 0.0))
    heights = [named(puck.step(np.array([0.0, 0.0, 0.0, 1.0], np.float32))[0])["object_z"] for _ in range(6)]
    assert heights[-1] == pytest.approx(0.0, abs=1e-3)


def test_an_action_moves_only_its_axes(puck):
    before = named(puck.reset(seed=3)[0])
    after = named(puck.step(np.array([0.5, 0.0, -0.5, 1.0], np.float32))[0])
    # an action of 1 is 5 cm
    assert after["target_x"] - before["target_x"] == pytest.approx(0.025, abs=1e-5)
    assert after["target_y"] - before["target_y"] == pytest.approx(0.0, abs=1e-5)
    assert after["target_z"] - before["target_z"] == pytest.approx(-0.025, abs=1e-5)
    assert after["target_yaw"] - before["target_yaw"] == pytest.approx(0.0, abs=1e-5)
    assert after["gripper_command"] == 1.0


def test_a_missing_gripper_stays_open():
    env = TwinStateEnv("push_puck", axes=["x"], max_steps=3)
    env.reset(seed=0)
    assert named(env.step(np.array([0.1], np.float32))[0])["gripper_command"] == 1.0
    env.close()


def test_the_same_seed_gives_the_same_episode_whatever_was_before(puck):
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 4)).astype(np.float32)

    def episode():
        first = puck.reset(seed=8)[0]
        return np.stack([first, *(puck.step(action)[0] for action in actions)])

    one = episode()
    puck.reset(seed=1)
    for action in -actions[:5]:
        puck.step(action)
    np.testing.assert_array_equal(episode(), one)
    fresh = TwinStateEnv("push_puck", axes=PUSH_AXES, max_steps=12)
    assert np.array_equal(fresh.reset(seed=8)[0], one[0])
    assert np.array_equal(np.stack([fresh.step(action)[0] for action in actions]), one[1:])
    fresh.close()


def test_the_expert_gets_there_and_time_runs_out_without_it():
    env = TwinStateEnv("pot_pick_place", axes=["x", "y", "z", "yaw", "gripper"])
    env.reset(seed=2)
    expert = env.expert(np.random.default_rng(0), 0.0, None)
    rewards, over = [], False
    while not over:
        _, reward, terminated, truncated, info = env.step(expert.act())
        rewards.append(reward)
        over = terminated or truncated
    assert (terminated, truncated, info) == (True, False, {"success": True})
    assert rewards[-1] == 0.0
    assert set(rewards[:-1]) == {-1.0}
    env.reset(seed=2)
    ends = [env.step(np.array([0, 0, 0, 0, 1], np.float32))[2:4] for _ in range(40)]
    assert ends == [(False, False)] * 39 + [(False, True)]
    env.close()


def test_a_fault_cuts_the_episode_and_the_next_reset_clears_it(puck):
    puck.reset(seed=0)
    puck._twin.env.safety.trip("a test")
    _, reward, terminated, truncated, info = puck.step(np.zeros(4, np.float32))
    assert (reward, terminated, truncated, info["success"]) == (-1.0, False, True, False)
    assert "a test" in info["fault"]
    puck.reset(seed=0)
    assert not puck.step(np.zeros(4, np.float32))[3]


@pytest.mark.parametrize("axes", [[], ["x", "x"], ["x", "up"]])
def test_axes_that_make_no_sense_are_refused(axes):
    with pytest.raises(ConfigError, match="expected different ones of"):
        TwinStateEnv("push_puck", axes=axes)


def test_a_goal_that_is_an_object_is_refused():
    with pytest.raises(ConfigError, match="stack_cube has no fixed goal"):
        TwinStateEnv("stack_cube", axes=AXES)
