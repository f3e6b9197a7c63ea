"""mink's iteration on the arm's ARM_XML and the closed form agree."""

import numpy as np
import pytest

from robot.arms.wx200 import WX200
from robot.control.collision import ARM_XML
from robot.control.inverse_iterative import IterativeKinematics
from robot.control.kinematics import JOINT_LOWER, JOINT_UPPER, Kinematics
from robot.control.pose import Pose
from robot.control.safety import SafetyLimits
from trajectories.errors import KinematicsError

HOME = Kinematics().inverse(Pose.of((0.26, 0.0, 0.14)), (0.0, 0.0, 0.0, 0.0, 1.5, 0.0))


@pytest.fixture(scope="module")
def iterative():
    return IterativeKinematics(ARM_XML)


def test_forward_agrees(iterative):
    rng = np.random.default_rng(0)
    for _ in range(100):
        joints = rng.uniform(JOINT_LOWER, JOINT_UPPER)
        one, other = Kinematics().forward(joints), iterative.forward(joints)
        np.testing.assert_allclose(one.matrix(), other.matrix(), atol=1e-9)


def test_inverse_agrees_all_over_the_box(iterative):
    rng, limits = np.random.default_rng(1), SafetyLimits()
    for _ in range(100):
        pose = Pose.of(
            rng.uniform(limits.position_lower, limits.position_upper),
            rng.uniform((-0.1, -0.1, -0.8), (0.1, 0.1, 0.8)),
        )
        np.testing.assert_allclose(iterative.inverse(pose, HOME), Kinematics().inverse(pose, HOME), atol=1e-6)


def test_out_of_reach_is_an_error_that_says_how_far(iterative):
    with pytest.raises(KinematicsError, match="away"):
        iterative.inverse(Pose.of((0.9, 0.0, 0.1)), HOME)


def test_bad_joints_and_other_models_are_refused(iterative, tmp_path):
    with pytest.raises(KinematicsError, match="6 finite"):
        iterative.inverse(Pose.of((0.3, 0.0, 0.1)), [np.nan] * 6)
    other = tmp_path / "other.xml"
    other.write_text("<mujoco><worldbody><body><joint name='waist'/><geom size='1'/></body></worldbody></mujoco>")
    with pytest.raises(KinematicsError, match="shoulder"):
        IterativeKinematics(other)


def test_limits_of_ones_own_are_kept_and_arms_of_five_joints_are_sent_to_their_closed_form():
    near = np.array([0.0, -0.3, 0.3, 0.0, 1.5, 0.0])
    pose = IterativeKinematics(ARM_XML).forward(near + 0.1)
    narrow = IterativeKinematics(ARM_XML, lower=near - 0.05, upper=near + 0.05)
    with pytest.raises(KinematicsError, match="No joint angles found"):
        narrow.inverse(pose, near)
    with pytest.raises(KinematicsError, match=r"has 5 joints; an iteration for any pose needs 6"):
        IterativeKinematics(WX200.mjcf, joints=WX200.joints)
