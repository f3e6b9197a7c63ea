"""robosuite's tasks as Gymnasium environments: Gymnasium's own check, ends, seeds, names, pictures."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from policies.gym.environment import EnvSettings, interface_of, make_env
from sim.robosuite.gym_env import RobosuiteEnv, gym_id, register_all
from trajectories.errors import ConfigError

STEPS = 5


@pytest.fixture(scope="module")
def lift():
    env = RobosuiteEnv("Lift", max_steps=STEPS)
    yield env
    env.close()


@pytest.fixture(scope="module")
def seeing():
    env = RobosuiteEnv("Lift", cameras=["agentview"], image_size=32, max_steps=STEPS)
    yield env
    env.close()


def put_cube(env, height):
    """Teleport the cube to `height` metres above where it lies."""
    world = env.world
    qpos = world.sim.data.get_joint_qpos(world.cube.joints[0]).copy()
    qpos[2] += height
    world.sim.data.set_joint_qpos(world.cube.joints[0], qpos)
    world.sim.data.set_joint_qvel(world.cube.joints[0], np.zeros(6))
    world.sim.forward()


def test_it_passes_gymnasiums_own_check(lift, seeing):
    for env in (lift, seeing):
        check_env(env, skip_render_check=True)
    assert set(lift.observation_space.spaces) == {"object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"}
    assert {space.dtype for space in lift.observation_space.spaces.values()} == {np.dtype(np.float32)}
    assert set(seeing.observation_space.spaces) - set(lift.observation_space.spaces) == {"agentview_image"}
    assert seeing.observation_space["agentview_image"].shape == (32, 32, 3)


def test_time_that_is_up_truncates_and_success_terminates(lift):
    _, info = lift.reset(seed=0)
    assert info == {"success": False}
    ends = [lift.step(np.zeros(7, np.float32))[2:4] for _ in range(STEPS)]
    assert ends == [(False, False)] * (STEPS - 1) + [(False, True)]
    lift.reset(seed=0)
    put_cube(lift, 0.2)
    _, reward, terminated, truncated, info = lift.step(np.zeros(7, np.float32))
    assert (reward, terminated, truncated, info) == (1.0, True, False, {"success": True})


def test_a_seed_decides_an_episode_and_nobody_elses_draws_notice(lift):
    def episode(seed):
        first, _ = lift.reset(seed=seed)
        action = np.full(7, 0.1, np.float32)
        return np.concatenate([*first.values(), *lift.step(action)[0].values()])

    np.random.seed(5)  # noqa: NPY002
    outside = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    first = episode(1)
    assert np.random.random() == outside  # noqa: NPY002
    assert not np.array_equal(episode(2), first)
    np.testing.assert_array_equal(episode(1), first)
    assert not np.array_equal(lift.reset()[0]["object"], first[:10])  # without a seed it goes on


def test_pictures_are_the_right_way_up(seeing):
    def red_row(height):
        seeing.reset(seed=3)
        put_cube(seeing, height)
        image = seeing._observation(seeing.world._get_observations(force_update=True))["agentview_image"].astype(int)
        red = (image[..., 0] > 1.8 * image[..., 1]) & (image[..., 0] > 60)
        assert red.any()
        return np.nonzero(red)[0].mean()

    assert red_row(0.15) < red_row(0.0) - 2  # what is higher is nearer to row 0


def test_environments_that_draw_dont_disturb_each_other(seeing):
    other = RobosuiteEnv("Stack", cameras=["frontview"], image_size=48)
    before = seeing.reset(seed=3)[0]["agentview_image"]
    theirs = other.reset(seed=3)[0]["frontview_image"]
    np.testing.assert_array_equal(seeing.reset(seed=3)[0]["agentview_image"], before)
    np.testing.assert_array_equal(other.reset(seed=3)[0]["frontview_image"], theirs)
    seeing.reset(seed=3)  # the other one is closed while this one's context is current
    other.close()
    np.testing.assert_array_equal(seeing.reset(seed=3)[0]["agentview_image"], before)


def test_the_gymnasium_door_opens_it_by_its_id(lift):
    settings = EnvSettings(gym_id("Lift"), {"max_steps": STEPS}, None, ("sim.robosuite.gym_env",))
    env = make_env(settings)
    seen, _ = env.reset(seed=1)
    raw, _ = lift.reset(seed=1)
    np.testing.assert_array_equal(seen, np.concatenate([raw[key] for key in sorted(raw)]))
    assert interface_of(env).actions == 7
    env.close()
    assert set(register_all()) <= set(gymnasium.registry)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("Lft", {}, "no task 'Lft'; it has .*Lift"),
        ("Lift", {"robots": "Pandas"}, "no robot 'Pandas'; it has .*Panda"),
        ("Lift", {"controller": "OSC"}, "no controller 'OSC'; it has .*OSC_POSE"),
        ("Lift", {"controller": "missing.json"}, "missing.json can't be read"),
        ("Lift", {"horizon": 10}, "horizon is set here by max_steps"),
        ("Lift", {"keys": ["cube"]}, "expected some of what this task observes: .*cube_pos"),
    ],
)
def test_what_isnt_there_is_refused(task, settings, message):
    with pytest.raises(ConfigError, match=message):
        RobosuiteEnv(task, **settings)


def test_controllers_and_keys_are_chosen_by_name():
    env = RobosuiteEnv("Lift", controller="JOINT_POSITION", keys=["cube_pos"], max_steps=2)
    assert env.action_space.shape == (8,)
    assert list(env.observation_space.spaces) == ["cube_pos"]
    assert env.environment()["env_name"] == "Lift"
    env.close()
