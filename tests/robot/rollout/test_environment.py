"""RobotEnv: composition on the last target, the grid of times, proprioception, homing, faults, Gymnasium."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.kinematic_arm import SPEC, START, KinematicArm, ManualClock, PatternCamera, action, make_env

from robot.control.home import HomeRegion
from robot.control.kinematics import Kinematics
from robot.control.poses import SLEEP_JOINTS
from robot.control.safety import SafetyLimits
from robot.rollout.environment import RobotEnv
from trajectories.errors import ConfigError, SafetyError, StaleDataError
from trajectories.types import PROPRIO_NAMES, RobotSpec

PERIOD_NS = 200_000_000


def entry(observation, name: str) -> float:
    return float(observation.proprio[PROPRIO_NAMES.index(name)])


def test_the_arm_goes_where_the_actions_add_up_to():
    env, arm, _ = make_env()
    for proposed in (action(0.5, 0.5), action(0, 0.5, -0.4), action(0, 0, 0, 0, 0, 0.8)):
        env.apply(proposed)
    pose = Kinematics().forward(arm.joints)
    np.testing.assert_allclose(pose.position, [0.285, 0.05, 0.12], atol=1e-7)
    np.testing.assert_allclose(pose.rpy, [0, 0, 0.2], atol=1e-7)


def test_actions_compose_on_the_target_even_when_the_arm_lags():
    env, arm, _ = make_env()
    arm.blocked = True
    env.apply(action(0.2))
    env.apply(action(0.2))
    np.testing.assert_allclose(env.target.pose.position, [0.28, 0.0, 0.14], atol=1e-7)
    observation = env.observe()
    assert entry(observation, "tip_x") == pytest.approx(0.26, abs=1e-6)
    assert entry(observation, "target_x") == pytest.approx(0.28, abs=1e-6)


def test_joint_targets_are_interpolated_at_fifty_hertz_without_jumps():
    env, arm, _ = make_env()
    applied = env.apply(action(1, -1, -1, 0, 0, 1))
    assert len(arm.sent) == 10
    times = np.array([command.t_ns for command in arm.sent])
    np.testing.assert_array_equal(np.diff(times), 20_000_000)
    path = np.array([START, *(command.joints for command in arm.sent)])
    steps = np.diff(path, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-12)
    np.testing.assert_array_equal(path[-1], env.target.joints)
    np.testing.assert_array_equal(applied.command.joints, path[-1])


def test_control_steps_lie_on_one_grid_however_long_the_policy_thinks():
    env, _, clock = make_env()
    env.apply(action())
    begin, rng = clock.now, np.random.default_rng(0)
    for step in range(1, 200):
        clock.now += int(rng.integers(0, 90_000_000))
        env.apply(action(*rng.uniform(-1, 1, 6)))
        assert clock.now == begin + step * PERIOD_NS
    assert env.overruns == 0


def test_a_late_action_takes_what_is_left_of_the_step_within_the_speed_limit():
    limits = SafetyLimits(max_joint_speed=1.5)
    env, _, clock = make_env(limits=limits)
    env.apply(action())
    clock.now += 90_000_000
    before = env.target.joints
    applied = env.apply(action(0, 1, 0, 0, 0, 1))
    assert applied.command.clipped == ("speed",)
    assert np.abs(env.target.joints - before).max() <= 1.5 * 0.110 + 1e-9


def test_a_missed_step_is_counted_and_the_grid_kept():
    env, _, clock = make_env()
    env.apply(action())
    begin = clock.now
    clock.now += 450_000_000  # more than two steps late
    env.apply(action(0.1))
    assert env.overruns == 3
    assert clock.now == begin + 4 * PERIOD_NS


def test_proprioception_is_what_its_names_say():
    env, arm, _ = make_env()
    env.apply(action(0, 0.4, 0, 0, 0, 0.5, gripper=-1))
    arm.width = 0.02
    observation = env.observe()
    want = {
        "tip_x": 0.26, "tip_y": 0.02, "tip_z": 0.14, "tip_roll": 0, "tip_pitch": 0, "tip_yaw": 0.125,
        "gripper_width": 0.02, "gripper_command": -1, "gripper_effort": 0,
        "target_x": 0.26, "target_y": 0.02, "target_z": 0.14, "target_yaw": 0.125,
    }  # fmt: skip
    assert tuple(want) == PROPRIO_NAMES
    np.testing.assert_allclose(observation.proprio, list(want.values()), atol=1e-6)
    assert observation.proprio.dtype == np.float32
    assert observation.instruction == "put the cube into the pot"
    assert observation.images["front"].shape == (8, 10, 3)
    assert set(observation.t_ns) == {"joints", "front"}


def test_the_gripper_stays_closed_on_an_object_until_told_to_open():
    env, arm, _ = make_env()
    env.apply(action(gripper=-1))
    arm.width = 0.03  # an object stops the fingers
    for proposed in (action(0.1, gripper=-0.2), np.full(7, np.nan, np.float32)):
        assert env.apply(proposed).executed[6] == -1
        assert arm.sent[-1].gripper_width == 0.0
    env.apply(action(gripper=0.2))
    assert arm.sent[-1].gripper_width == 0.044


def test_an_action_that_is_not_finite_moves_nothing():
    env, arm, _ = make_env()
    env.apply(action(0.3))
    joints = arm.joints
    applied = env.apply(np.full(7, np.inf, np.float32))
    np.testing.assert_array_equal(arm.joints, joints)
    assert applied.command.clipped == ("non-finite",)
    assert env.safety.nonfinite_actions == 1


def test_stale_joints_and_stale_frames_are_refused():
    env, arm, clock = make_env()
    arm.age_ns = 300_000_000
    with pytest.raises(StaleDataError, match="300 ms old"):
        env.observe()
    with pytest.raises(StaleDataError):
        env.apply(action())
    camera = PatternCamera(clock, (8, 10), age_ns=300_000_000)
    env = RobotEnv(KinematicArm(clock), {"front": camera}, clock, SPEC)
    with pytest.raises(StaleDataError):
        env.observe()


def test_a_fault_holds_the_arm_and_latches_until_a_person_clears_it():
    env, arm, _ = make_env()
    env.apply(action(0.2))
    arm.efforts = np.array([0, 0, 9.0, 0, 0, 0])
    for _ in range(env.limits.effort_fault_steps - 1):
        env.apply(action(0.1))
    with pytest.raises(SafetyError, match="elbow"):
        env.apply(action(0.1))
    sent = len(arm.sent)
    assert arm.holds == 1
    arm.efforts = np.zeros(6)
    with pytest.raises(SafetyError):
        env.apply(action())
    assert len(arm.sent) == sent
    arm.joints = START.copy()  # the person moved it
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    env.apply(action(0.2))
    np.testing.assert_allclose(env.target.pose.position, [0.27, 0, 0.14], atol=1e-7)


@pytest.mark.parametrize("start", [START, np.array(SLEEP_JOINTS), np.array([0.9, 0.2, 0.1, 0.5, 0.9, -2.0])])
def test_home_is_reached_from_anywhere_in_safe_steps(start):
    env, arm, _ = make_env()
    arm.joints, arm.width = start.copy(), 0.0
    rng = np.random.default_rng(5)
    region = HomeRegion()
    for _ in range(5):
        env.go_home(rng)
        pose = Kinematics().forward(arm.joints)
        for value, (low, high) in zip(pose.position, (region.x, region.y, region.z), strict=True):
            assert low - 1e-6 <= value <= high + 1e-6
        assert region.yaw[0] - 1e-6 <= pose.rpy[2] <= region.yaw[1] + 1e-6
        np.testing.assert_allclose(pose.rpy[:2], 0, atol=1e-6)
    assert arm.width == 0.044
    path = np.array([start, *(command.joints for command in arm.sent)])
    assert np.abs(np.diff(path, axis=0)).max() <= env.limits.max_joint_speed * 0.02 + 1e-9


def test_going_home_opens_in_place_and_rises_before_it_moves_sideways():
    env, arm, _ = make_env()
    for _ in range(3):
        env.apply(action(0.5, 1, -1, gripper=-1))
    arm.sent.clear()
    low = Kinematics().forward(arm.joints).position
    env.go_home(np.random.default_rng(1))
    tips = np.array([Kinematics().forward(command.joints).position for command in arm.sent])
    opening = tips[: 10 * HomeRegion().open_steps]
    np.testing.assert_allclose(opening, np.broadcast_to(low, opening.shape), atol=1e-9)
    sideways = np.abs(tips[:, 1] - low[1]) > 0.005
    assert tips[sideways][:, 2].min() > HomeRegion().rise_z - 0.015
    assert all(command.gripper_width == 0.044 for command in arm.sent)


def test_going_home_with_a_tool_never_opens():
    env, arm, _ = make_env(home=HomeRegion(opens=False))
    env.apply(action(0.5, 1, -1, gripper=-1))
    arm.sent.clear()
    env.go_home(np.random.default_rng(1))
    assert len(arm.sent) > 10
    assert all(command.gripper_width == 0.0 for command in arm.sent)


def test_homes_differ_and_follow_the_generator():
    env, _, _ = make_env()
    homes = []
    for seed in (1, 2, 1):
        env.go_home(np.random.default_rng(seed))
        homes.append(env.target.pose.position)
    assert np.linalg.norm(homes[0] - homes[1]) > 1e-3
    np.testing.assert_allclose(homes[0], homes[2], atol=1e-7)


def test_a_blocked_way_home_is_an_error_instead_of_an_endless_loop():
    env, arm, _ = make_env()
    env.apply(action(0, 1, -1))
    arm.joints = Kinematics().inverse(replace(env.target.pose, position=np.array([0.36, 0.19, 0.02])), START)
    env.resync()
    arm.blocked = True
    with pytest.raises(SafetyError, match="blocks it"):
        env.go_home(np.random.default_rng(0))


def test_it_is_a_gymnasium_environment():
    env, _, _ = make_env(max_steps=3)
    observation, _ = env.reset(seed=4)
    assert env.observation_space.contains(observation)
    truncated = []
    for _ in range(3):
        observation, reward, terminated, end, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert reward == 0.0
        assert not terminated
        assert info["executed"].shape == (7,)
        truncated.append(end)
    assert truncated == [False, False, True]
    assert env.render().shape == (8, 10, 3)


def test_depth_is_observed_where_the_specification_has_it_and_missed_where_the_camera_has_none():
    deep, clock = replace(SPEC, depth=("front",)), ManualClock()
    camera = PatternCamera(clock, (8, 10), depth=np.full((8, 10), 512, np.uint16))
    env = RobotEnv(KinematicArm(clock), {"front": camera}, clock, deep)
    observation, _ = env.reset(seed=4)
    assert env.observation_space.contains(observation)
    assert (observation["depth"]["front"] == 512).all()
    camera.depth = None
    with pytest.raises(ConfigError, match=r"Camera 'front' gives no depth"):
        env.observe()
    plain, _, _ = make_env()
    assert "depth" not in plain.observation_space.spaces
    assert plain.observe().depth == {}


def test_constructor_refuses_what_does_not_fit():
    clock = ManualClock()
    arm = KinematicArm(clock)
    camera = PatternCamera(clock, (8, 10))
    with pytest.raises(ConfigError, match="cameras"):
        RobotEnv(arm, {"wrist": camera}, clock, SPEC)
    with pytest.raises(ConfigError, match="proprioception"):
        RobotEnv(arm, {"front": camera}, clock, RobotSpec(cameras=SPEC.cameras, proprio=("tip_x",)))
    with pytest.raises(ConfigError, match="substeps"):
        RobotEnv(arm, {"front": camera}, clock, SPEC, substeps_hz=1.0)
    with pytest.raises(ConfigError, match="yaw"):
        HomeRegion(yaw=(0.2, -0.2))
