"""Our arm in robosuite's scenes: where it is, what it does and undoes without resets, by robosuite's own checks."""

import mujoco
import numpy as np
import pytest
from hydra import compose, initialize_config_module

from commands.evaluate.evaluate import in_twin
from commands.evaluate_reward import occluded_observations
from factory.robot import open_station
from factory.twin import TwinSettings
from robot.control.faults import caused
from sim.collect import aftermath, collect_episode, play_cycle
from sim.experts.choice import expert_for
from sim.experts.failures import FAILURES
from sim.robosuite.gym_env import RobosuiteEnv
from sim.robosuite.physics import ORIGIN
from sim.robosuite.tasks import ROBOSUITE_TASKS
from sim.robosuite.twin import make_robosuite_twin
from sim.tasks.task import tilt, yaw_of
from trajectories.errors import ConfigError

STEPS = 30


@pytest.fixture(scope="module")
def twins():
    made = {name: make_robosuite_twin(name, seed=0, cameras=()) for name in ROBOSUITE_TASKS}
    yield made
    for twin in made.values():
        twin.close()


@pytest.mark.parametrize("name", ROBOSUITE_TASKS)
def test_the_arm_is_where_its_kinematics_say_and_things_where_robosuite_put_them(twins, name):
    twin = twins[name]
    physics, world = twin.scene.physics, twin.scene.world
    twin.reset("forward", np.random.default_rng(1))
    pose = twin.env.kinematics.forward(twin.env.arm_state.joints)
    np.testing.assert_allclose(physics.tip_position(), pose.position, atol=1e-6)
    np.testing.assert_allclose(physics.tip_rotation()[2, 0], -1.0, atol=0.02)  # the gripper points down
    for body, attribute in twin.task.bodies.items():
        item = getattr(world, attribute)
        truth = world.sim.data.get_body_xpos(item.root_body)
        np.testing.assert_allclose(physics.body_pose(body)[0] + [0, 0, item.size[2]] + ORIGIN, truth, atol=1e-5)
        assert abs(physics.body_pose(body)[0][2]) < 0.003  # stands on the table


@pytest.mark.parametrize("name", ROBOSUITE_TASKS)
def test_a_task_is_done_and_undone_again_and_again_without_a_reset(twins, name):
    twin, rng = twins[name], np.random.default_rng(2)
    twin.reset("forward", rng)
    for direction in ("forward", "backward", "forward"):
        if name == "robosuite_lift":  # going home opens the gripper, which puts the cube down
            direction = "forward"
        assert not twin.success(direction)
        expert = expert_for(twin, direction, rng)
        for _ in range(STEPS):
            twin.env.apply(expert.act(twin.env.observe()))
            if twin.success(direction):
                break
        assert twin.success(direction)
        assert twin.scene.checked() == (direction == "forward")
        twin.env.go_home(rng)
        assert twin.operator.trouble() is None


@pytest.mark.parametrize("name", ROBOSUITE_TASKS)
def test_demonstrations_succeed_in_both_directions_and_failures_fail(twins, name):
    twin = twins[name]
    for direction in ("forward", "backward"):
        demo = collect_episode(twin, direction, np.random.default_rng(3), noise=0.05, max_steps=STEPS)
        assert (demo.outcome, demo.task, demo.direction) == ("success", name, direction)
        assert demo.instruction in ROBOSUITE_TASKS[name].instructions[direction]
        for number, failure in enumerate(FAILURES):
            rng = np.random.default_rng([4, number])
            episode = collect_episode(twin, direction, rng, failure=failure, max_steps=STEPS)
            off = (name, direction) == ("robosuite_stack", "backward") and failure in ("edge", "drop")  # on the table
            assert episode.outcome == ("success" if off else "failure"), (direction, failure)


def test_the_same_seed_gives_the_same_episode(twins):
    twin = twins["robosuite_stack"]
    first, second = (collect_episode(twin, "backward", np.random.default_rng(5), max_steps=4) for _ in range(2))
    np.testing.assert_array_equal(first.proprio, second.proprio)


def test_looks_and_play_are_recorded(twins):
    looked = aftermath(twins["robosuite_stack"], "forward", np.random.default_rng(6), max_steps=STEPS)
    assert looked.outcome == "success"
    assert len(play_cycle(twins["robosuite_lift"], np.random.default_rng(7)).rewards) > 20


def test_the_commands_open_it_with_pictures(tmp_path):
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("evaluate", ["robot=robosuite", "task=robosuite_stack", "robot.image_size=48"])
    with open_station(config) as station:
        station.prepare("forward", np.random.default_rng(0))
        image = station.env.observe().images["front"].astype(int)
        green = (image[..., 1] > 1.3 * image[..., 0]) & (image[..., 1] > image[..., 2])
        red = (image[..., 0] > 1.8 * image[..., 1]) & (image[..., 0] > 60)
        assert image.shape == (48, 48, 3)
        assert green.sum() > red.sum() > 4  # the green cube is larger
        assert station.referee("forward") is False
        person = station.env.stop("hold")
        assert list(caused(station.env.faults)) == []
        station.env.clear_faults("Anna", [person.id])


@pytest.mark.parametrize(
    "turn",
    [(1, 0, 0, 0), (0, 1, 0, 0), (0.5**0.5, 0.5**0.5, 0, 0), (0.5**0.5, 0, -(0.5**0.5), 0), (0.5, 0.5, 0.5, 0.5)],
)
def test_a_cube_stands_on_any_face(twins, turn):
    """It is not lost, its bottom is on the table, and its turn is as much as that of its edges."""
    twin = twins["robosuite_stack"]
    twin.reset("forward", np.random.default_rng(0))
    scene, name = twin.scene, twin.task.object
    place, half = np.array([0.27, 0.1]), scene.object(name).half_extent[0]
    lying, centre = np.zeros(4), np.array([*place, half])
    mujoco.mju_mulQuat(lying, np.array([np.cos(0.1), 0.0, 0.0, np.sin(0.1)]), np.asarray(turn, float))
    down = np.zeros(3)
    mujoco.mju_rotVecQuat(down, np.array([0.0, 0.0, half]), lying)
    scene.physics.set_free_body(name, centre - down, lying)
    mujoco.mj_forward(scene.physics.model, scene.physics.data)
    position, quaternion = scene.physics.body_pose(name)
    np.testing.assert_allclose(position, [*place, 0.0], atol=1e-6)
    assert tilt(quaternion) < 1e-3
    assert abs(yaw_of(quaternion) - 0.2) < 1e-3  # of the four that look alike, the one within 45 degrees
    assert twin.task.lost(scene) is None


def test_its_predicate_judges_evaluations_and_nothing_is_hidden_from_its_judge():
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("evaluate", ["robot=robosuite", "task=robosuite_stack"])
        asked = compose("evaluate", ["robot=robosuite", "task=robosuite_stack", "evaluate.judge=person"])
    assert in_twin(config)
    assert not in_twin(asked)
    assert occluded_observations(TwinSettings.from_config(config), "front", 2) == []


def test_other_tasks_and_cameras_are_refused():
    with pytest.raises(ConfigError, match=r"no task 'pot_pick_place' in robosuite's world; there are robosuite_lift"):
        make_robosuite_twin("pot_pick_place", seed=0)
    with pytest.raises(ConfigError, match="no camera 'left'; robosuite's world has front, side, top, wrist"):
        make_robosuite_twin("robosuite_lift", seed=0, cameras=("left",))


def test_it_is_a_robot_of_robosuites_under_its_controllers():
    env = RobosuiteEnv("Lift", robots="WidowX250S", max_steps=80)
    seen, _ = env.reset(seed=0)
    assert env.action_space.shape == (7,)
    goal = seen["object"][:3] + np.array([0.02, 0.03, 0.1])
    for _ in range(60):
        error = goal - seen["robot0_eef_pos"]
        seen, *_ = env.step(np.array([*np.clip(error / 0.05, -1, 1), 0, 0, 0, 1], np.float32))
    assert np.linalg.norm(goal - seen["robot0_eef_pos"]) < 0.015
    fingers = seen["robot0_gripper_qpos"]
    assert fingers[0] - fingers[1] - 0.03 < 0.003  # 1 closes
    env.close()


def test_narrow_starts_have_the_cubes_nearly_square():
    twin = make_robosuite_twin("robosuite_stack", seed=3, cameras=(), spread="narrow")
    turns = []
    for direction in ("forward", "backward", "forward"):
        twin.reset(direction)
        turns.append(yaw_of(twin.scene.physics.body_pose("block")[1]))
        assert not twin.success(direction)
    assert np.abs(turns).max() < 0.27
    assert len(set(turns)) == 3
