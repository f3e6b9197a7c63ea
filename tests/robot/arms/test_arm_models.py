"""Models of arms: their kinematics against MuJoCo, their limits, and what the safety filter makes of any action."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from robot.arms.registry import ARMS, arm_model
from robot.arms.wx200 import WX200
from robot.arms.wx250s import WX250S
from robot.control.collision import Collision
from robot.control.pose import Pose, multiply, rotation_vector, rows_from_rpy, tool_rows, transpose
from robot.control.safety import SafetyFilter
from robot.interfaces import ArmState
from trajectories.errors import ConfigError, KinematicsError
from trajectories.types import RobotSpec

SCALE = RobotSpec().action_scale
OWN = sorted(ARMS.own)
FIVE = [name for name in OWN if arm_model(name).size == 5]


def angle_between(one, other):
    """Rad between two rpy."""
    turn = multiply(rows_from_rpy(one.rpy.tolist()), transpose(rows_from_rpy(other.rpy.tolist())))
    return math.hypot(*rotation_vector(turn))


@pytest.mark.parametrize("name", OWN)
def test_closed_form_and_mjcf_put_the_tip_in_the_same_place(name):
    arm, rng = arm_model(name), np.random.default_rng(0)
    model = mujoco.MjModel.from_xml_path(str(arm.mjcf))
    data = mujoco.MjData(model)
    kinematics = arm.kinematics()
    for _ in range(100):
        joints = rng.uniform(arm.lower, arm.upper)
        data.qpos[: arm.size] = joints
        mujoco.mj_kinematics(model, data)
        pose = kinematics.forward(joints)
        np.testing.assert_allclose(pose.position, data.site("tip").xpos, atol=1e-12)
        np.testing.assert_allclose(tool_rows(pose.rpy.tolist()), data.site("tip").xmat.reshape(3, 3), atol=1e-9)


@pytest.mark.parametrize("name", OWN)
def test_mjcf_has_the_models_joints_limits_and_gripper(name):
    arm = arm_model(name)
    model = mujoco.MjModel.from_xml_path(str(arm.mjcf))
    names = [model.joint(i).name for i in range(model.njnt)]
    assert names == [*arm.joints, "left_finger", "right_finger"]
    assert [model.actuator(i).name for i in range(model.nu)] == [*arm.joints, "gripper"]
    ranges = np.array([model.joint(joint).range for joint in arm.joints])
    np.testing.assert_allclose(ranges, np.column_stack([arm.lower, arm.upper]), atol=1e-5)
    closed, opened = model.joint("left_finger").range
    assert closed == pytest.approx(arm.finger_closed)
    assert 2 * (opened - closed) == pytest.approx(arm.opening)


@pytest.mark.parametrize("name", OWN)
def test_from_sleep_to_ready_nothing_is_in_the_way_and_ready_is_above_the_table(name):
    arm = arm_model(name)
    collision = Collision(0.005, arm.mjcf, arm.joints)
    assert collision.obstacle(arm.sleep, arm.ready) is None
    pose = arm.kinematics().forward(arm.ready)
    assert pose.position[2] > 0.15
    assert angle_between(pose, Pose.of((0, 0, 0))) < 0.15


@pytest.mark.parametrize("name", OWN)
def test_inverse_undoes_forward(name):
    arm, rng = arm_model(name), np.random.default_rng(1)
    kinematics = arm.kinematics()
    limits = arm.limits()
    lower = np.array(limits.joint_lower) + limits.joint_margin
    upper = np.array(limits.joint_upper) - limits.joint_margin
    for _ in range(300):
        joints = rng.uniform(lower, upper)
        pose = kinematics.forward(joints)
        again = kinematics.forward(kinematics.inverse(pose, joints))
        np.testing.assert_allclose(again.position, pose.position, atol=1e-9)
        assert angle_between(again, pose) < 1e-7


@pytest.mark.parametrize("name", OWN)
def test_the_whole_home_region_is_in_reach(name):
    arm = arm_model(name)
    kinematics, home = arm.kinematics(), arm.home
    for x in home.x:
        for y in home.y:
            for z in home.z:
                for yaw in home.yaw:
                    kinematics.inverse(Pose.of((x, y, z), (0.0, 0.0, yaw)), arm.ready)


@pytest.mark.parametrize("name", FIVE)
def test_attainable_is_the_nearest_rotation_that_five_joints_can_take(name):
    arm, rng = arm_model(name), np.random.default_rng(2)
    kinematics = arm.solver((-math.pi,) * 5, (math.pi,) * 5)  # joint limits are another matter
    for _ in range(100):
        position = rng.uniform((0.2, -0.15, 0.05), (0.3, 0.15, 0.15))
        wanted = Pose.of(position, rng.uniform(-0.3, 0.3, 3))
        given = kinematics.attainable(wanted)
        np.testing.assert_array_equal(given.position, wanted.position)
        joints = kinematics.inverse(given, arm.ready)
        assert angle_between(kinematics.forward(joints), given) < 1e-6
        assert kinematics.attainable(given) is given
        away = angle_between(given, wanted)
        for _ in range(20):  # no other pose that the arm can take here is nearer
            other = kinematics.attainable(Pose.of(position, given.rpy + rng.normal(0.0, 0.05, 3)))
            assert angle_between(other, wanted) > away - 1e-6


@pytest.mark.parametrize("name", FIVE)
def test_a_tilt_out_of_the_plane_is_no_pose_of_five_joints_and_is_said(name):
    kinematics = arm_model(name).kinematics()
    with pytest.raises(KinematicsError, match=r"tilts the gripper 11\.\d+ deg out of the arm's plane"):
        kinematics.inverse(Pose.of((0.25, 0.0, 0.1), (0.2, 0.0, 0.0)), arm_model(name).ready)
    assert kinematics.attainable(Pose.of((0.25, 0.0, 0.1), (0.2, 0.0, 0.0))).rpy == pytest.approx([0, 0, 0], abs=1e-9)


def test_six_joints_take_any_rotation():
    kinematics = WX250S.kinematics()
    pose = Pose.of((0.25, 0.0, 0.1), (0.2, 0.1, 0.3))
    assert kinematics.attainable(pose) is pose


@pytest.mark.parametrize("name", OWN)
def test_any_actions_stay_within_the_limits_of_their_own_model(name):
    arm, rng = arm_model(name), np.random.default_rng(3)
    limits = arm.limits()
    safety = SafetyFilter(arm, limits, SCALE)
    kinematics, collision = arm.kinematics(), Collision(limits.collision_margin, arm.mjcf, arm.joints)
    joints = kinematics.inverse(Pose.of((0.25, 0.0, 0.14)), arm.ready)

    def state():
        return ArmState(joints, np.zeros(arm.size), np.zeros(arm.size), arm.opening, 0.0, 0)

    target, moved = safety.target_at(state()), 0
    for _ in range(400):
        action = rng.choice([rng.normal(0, 1, 7), rng.choice([-1.0, 1.0], 7), rng.normal(0, 10, 7)]).astype(np.float32)
        checked = safety.check(action, target, state(), 0.2)
        low, high = np.array(arm.lower) + limits.joint_margin, np.array(arm.upper) - limits.joint_margin
        assert (checked.target.joints >= low - 1e-9).all()
        assert (checked.target.joints <= high + 1e-9).all()
        assert np.abs(checked.target.joints - joints).max() <= limits.max_joint_speed * 0.2 + 1e-9
        position, rpy = checked.target.pose.position, checked.target.pose.rpy
        assert (position >= np.array(limits.position_lower) - 1e-9).all()
        assert (position <= np.array(limits.position_upper) + 1e-9).all()
        assert (rpy >= np.array(limits.rpy_lower) - 1e-5).all()
        assert (rpy <= np.array(limits.rpy_upper) + 1e-5).all()
        assert collision.clearance(checked.target.joints).distance >= limits.collision_margin - 1e-6
        assert 0.0 <= checked.gripper_width <= arm.opening
        # the executed action is the motion that really happens
        tip = kinematics.forward(checked.target.joints)
        np.testing.assert_allclose(tip.position - target.pose.position, checked.executed[:3] * SCALE[:3], atol=1e-6)
        turn = rows_from_rpy((checked.executed[3:6] * np.array(SCALE[3:6])).tolist())
        composed = multiply(turn, rows_from_rpy(target.pose.rpy.tolist()))
        np.testing.assert_allclose(composed, rows_from_rpy(tip.rpy.tolist()), atol=2e-6)
        moved += bool(checked.executed[:6].any())
        joints, target = checked.target.joints, checked.target
    assert moved > 200


def test_limits_of_another_arm_are_refused():
    with pytest.raises(ConfigError, match=r"for 6 joints, the wx200 has 5: waist, shoulder"):
        WX200.require_fits(WX250S.limits())
    wider = replace(WX200.limits(), joint_upper=(*WX200.upper[:3], 2.5, WX200.upper[4]))
    with pytest.raises(ConfigError, match=r"wrist_angle go from .* to 2\.5000 rad; the servos of the wx200 stop"):
        WX200.require_fits(wider)
    with pytest.raises(ConfigError, match=r"gripper_open_width is 0\.1 m, the fingers of the wx250s open to 0\.044 m"):
        WX250S.require_fits(replace(WX250S.limits(), gripper_open_width=0.1))


def test_a_model_that_contradicts_itself_is_refused():
    with pytest.raises(ConfigError, match=r"has 5 joints and 6 numbers in ready"):
        replace(WX200, ready=(0.0,) * 6)
    with pytest.raises(ConfigError, match=r"ready pose of the arm 'wx200' has shoulder at 3.0 rad"):
        replace(WX200, ready=(0.0, 3.0, 0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match=r"no MJCF file"):
        replace(WX200, mjcf=WX200.mjcf.with_name("px100.xml"))


def test_an_unknown_arm_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"no arm 'px100'; there are .*wx200, wx250, wx250s"):
        arm_model("px100")


@pytest.mark.parametrize("name", OWN)
def test_from_outside_of_the_box_no_axis_turns_further_out(name):
    arm, rng = arm_model(name), np.random.default_rng(4)
    limits, safety = arm.limits(), SafetyFilter(arm, arm.limits(), SCALE)
    low, high = np.array(limits.rpy_lower), np.array(limits.rpy_upper)
    for _ in range(60):
        joints = rng.uniform(arm.lower, arm.upper)
        target = safety.target_at(ArmState(joints, np.zeros(arm.size), np.zeros(arm.size), arm.opening, 0.0, 0))
        for _ in range(6):
            state = ArmState(target.joints, np.zeros(arm.size), np.zeros(arm.size), arm.opening, 0.0, 0)
            after = safety.check(rng.uniform(-1, 1, 7).astype(np.float32), target, state, 0.2).target
            before, now = (np.maximum(low - t.pose.rpy, t.pose.rpy - high).clip(0) for t in (target, after))
            assert (now <= before + 1e-5).all()
            target = after


@pytest.mark.parametrize("name", ["wx250", "wx250s"])
def test_nothing_gets_stuck_at_the_edge_of_the_rotations(name):
    arm, middle = arm_model(name), np.array([0.27, 0.0, 0.1])
    safety, stuck = SafetyFilter(arm, arm.limits(), SCALE), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        joints = arm.kinematics().inverse(Pose.of((0.25, 0.0, 0.14)), arm.ready)
        target = safety.target_at(ArmState(joints, np.zeros(arm.size), np.zeros(arm.size), arm.opening, 0.0, 0))
        for i in range(70):
            action = rng.choice([-1.0, 1.0], 7)
            if i >= 40:  # translations alone, towards the middle
                action = np.array([*((middle - target.pose.position) / SCALE[:3]).clip(-1, 1), 0, 0, 0, 1])
            state = ArmState(target.joints, np.zeros(arm.size), np.zeros(arm.size), arm.opening, 0.0, 0)
            target = safety.check(action.astype(np.float32), target, state, 0.2).target
        stuck += bool(np.abs(target.pose.position - middle).max() > 0.01)
    assert stuck == 0
