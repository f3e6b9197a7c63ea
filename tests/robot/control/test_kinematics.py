"""Closed-form kinematics: known poses, round trips, limits, and agreement with MuJoCo on the arm's model."""

import os

import numpy as np
import pytest

from robot.arms.wx250s import WX250S
from robot.control.collision import ARM_XML
from robot.control.kinematics import JOINT_LOWER, JOINT_UPPER, Kinematics
from robot.control.pose import (
    DOWN,
    Pose,
    rotation_vector,
    rows_from_rotation_vector,
    rows_from_rpy,
    rpy_from_rows,
)
from robot.control.poses import NEUTRAL_JOINTS
from robot.control.safety import SafetyLimits
from trajectories.errors import KinematicsError

ARM = Kinematics()


def test_the_tip_at_zero_is_where_the_offsets_add_up_to():
    np.testing.assert_allclose(ARM.forward(np.zeros(6)).position, [0.458325, 0.0, 0.36065], atol=1e-15)


def test_bridge_datas_neutral_pose():
    pose = ARM.forward(NEUTRAL_JOINTS)
    np.testing.assert_allclose(pose.position, [0.120, -0.019, 0.247], atol=5e-4)
    assert np.abs(pose.rpy).max() < 0.15  # the gripper points down


def test_gripper_down_is_zero_rotation():
    np.testing.assert_allclose(Pose.of((0.3, 0.0, 0.1)).matrix()[:3, :3], DOWN, atol=0)


def test_each_waist_radian_turns_the_gripper_down_pose_by_one_yaw_radian():
    joints = ARM.inverse(Pose.of((0.28, 0.0, 0.1)), np.zeros(6))
    turned = ARM.forward(joints + np.array([0.4, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(turned.rpy, [0.0, 0.0, 0.4], atol=1e-12)
    np.testing.assert_allclose(turned.position, [0.28 * np.cos(0.4), 0.28 * np.sin(0.4), 0.1], atol=1e-12)


def test_inverse_undoes_forward_everywhere():
    rng = np.random.default_rng(0)
    for _ in range(3000):
        joints = rng.uniform(JOINT_LOWER, JOINT_UPPER)
        pose = ARM.forward(joints)
        found = ARM.inverse(pose, joints)
        np.testing.assert_allclose(ARM.forward(found).matrix(), pose.matrix(), atol=1e-11)
        np.testing.assert_allclose(found, joints, atol=1e-6)


def test_forward_undoes_inverse_in_the_safety_box():
    rng, limits = np.random.default_rng(1), SafetyLimits()
    arm, near = WX250S.kinematics(limits), np.array(NEUTRAL_JOINTS)
    for _ in range(2000):
        pose = Pose.of(
            rng.uniform(limits.position_lower, limits.position_upper), rng.uniform((0, 0, -1.2), (0, 0, 1.2))
        )
        reached = arm.forward(arm.inverse(pose, near))
        np.testing.assert_allclose(reached.position, pose.position, atol=1e-12)
        np.testing.assert_allclose(reached.rpy, pose.rpy, atol=1e-12)


def test_solutions_respect_the_joint_limits_whatever_branch_is_near():
    rng = np.random.default_rng(2)
    for _ in range(1000):
        pose = ARM.forward(rng.uniform(JOINT_LOWER, JOINT_UPPER))
        found = ARM.inverse(pose, rng.uniform(-3, 3, 6))
        assert (found >= np.array(JOINT_LOWER) - 1e-9).all()
        assert (found <= np.array(JOINT_UPPER) + 1e-9).all()
        np.testing.assert_allclose(ARM.forward(found).matrix(), pose.matrix(), atol=1e-11)


def test_the_branch_nearest_to_the_last_joints_is_taken():
    pose = Pose.of((0.28, 0.05, 0.1), (0.1, 0.0, 0.3))
    one = ARM.inverse(pose, (0.0, 0.0, 0.0, 0.0, 1.5, 0.0))
    flipped = (*one[:3], one[3] - np.copysign(np.pi, one[3]), -one[4], one[5] - np.copysign(np.pi, one[5]))
    other = ARM.inverse(pose, np.array(flipped) + 0.2)
    np.testing.assert_allclose(other, flipped, atol=1e-9)
    assert one[4] > 0 > other[4]
    np.testing.assert_allclose(ARM.forward(one).matrix(), ARM.forward(other).matrix(), atol=1e-12)


def test_straight_wrist_keeps_the_forearm_where_it_was():
    joints = np.array([0.2, 0.1, -0.3, 0.7, 0.0, -0.4])
    np.testing.assert_allclose(ARM.inverse(ARM.forward(joints), joints), joints, atol=1e-9)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        (Pose.of((0.9, 0.0, 0.1)), "out of reach.*at most"),
        (Pose.of((0.30, 0.0, 0.1), (0.0, 2.9, 0.0)), "beyond its limit"),
    ],
)
def test_unreachable_poses_say_why(pose, words):
    with pytest.raises(KinematicsError, match=words):
        ARM.inverse(pose, np.zeros(6))


@pytest.mark.parametrize("joints", [np.zeros(5), [0, 0, np.nan, 0, 0, 0], [np.inf] * 6])
def test_bad_joint_vectors_are_refused(joints):
    with pytest.raises(KinematicsError, match="6 finite"):
        ARM.forward(joints)


def test_poses_that_are_not_finite_are_refused():
    with pytest.raises(KinematicsError, match="finite"):
        Pose.of((np.nan, 0, 0))
    with pytest.raises(KinematicsError, match="finite"):
        ARM.inverse(Pose(np.array([0.3, 0, 0.1]), np.array([0, np.nan, 0])), np.zeros(6))


def test_rotation_maps_are_inverse_to_each_other():
    rng = np.random.default_rng(3)
    for _ in range(500):
        rpy = rng.uniform((-3.1, -1.5, -3.1), (3.1, 1.5, 3.1))
        rows = rows_from_rpy(rpy)
        np.testing.assert_allclose(rpy_from_rows(rows), rpy, atol=1e-9)
        np.testing.assert_allclose(rows_from_rotation_vector(rotation_vector(rows)), rows, atol=1e-9)
    half = rows_from_rotation_vector((0.0, np.pi, 0.0))
    assert np.linalg.norm(rotation_vector(half)) == pytest.approx(np.pi)


def test_mujoco_agrees_on_the_arms_model():
    os.environ.setdefault("MUJOCO_GL", "egl")
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_path(str(ARM_XML))
    data = mujoco.MjData(model)
    tip = model.site("tip").id
    address = [model.joint(name).qposadr[0] for name in ("waist", "shoulder", "elbow", "forearm_roll")]
    address += [model.joint(name).qposadr[0] for name in ("wrist_angle", "wrist_rotate")]
    rng = np.random.default_rng(4)
    for _ in range(200):
        joints = rng.uniform(JOINT_LOWER, JOINT_UPPER)
        data.qpos[address] = joints
        mujoco.mj_kinematics(model, data)
        pose = ARM.forward(joints).matrix()
        np.testing.assert_allclose(data.site_xpos[tip], pose[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site_xmat[tip].reshape(3, 3), pose[:3, :3], atol=1e-9)
