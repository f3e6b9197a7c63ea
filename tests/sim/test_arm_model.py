"""The arm's model against the manufacturer's figures and the closed-form kinematics."""

import mujoco
import numpy as np
import pytest
from helpers.arm_motion import Motion

from robot.control.collision import ARM_XML
from robot.control.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER, Kinematics
from robot.control.poses import NEUTRAL_JOINTS
from sim.physics import Physics
from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from trajectories.types import Command

ZERO = np.zeros(6)
STRAIGHT_OUT = np.array([0.0, np.pi / 2 - 0.195, -np.pi / 2 + 0.195, 0.0, 0.0, 0.0])


@pytest.fixture
def arm() -> Physics:
    return Physics(mujoco.MjModel.from_xml_path(str(ARM_XML)))


def at(arm: Physics, joints) -> Physics:
    arm.set_arm(joints, 0.0)
    arm.refresh()
    return arm


def test_masses_are_the_manufacturers(arm):
    assert arm.model.body_mass.sum() == pytest.approx(2.135, abs=0.001)


def test_no_placeholder_inertia_on_the_gripper(arm):
    hand = [arm.body_id(n) for n in ("gripper_link", "left_finger_link", "right_finger_link")]
    assert arm.model.body_inertia[hand].max() < 1e-4


def test_tip_at_zero_and_in_neutral(arm):
    np.testing.assert_allclose(at(arm, ZERO).tip_position(), [0.458325, 0, 0.36065], atol=1e-9)
    np.testing.assert_allclose(at(arm, NEUTRAL_JOINTS).tip_position(), [0.120, -0.019, 0.247], atol=6e-4)


@pytest.mark.parametrize(("joints", "torque"), [(ZERO, 1.85), (STRAIGHT_OUT, 3.96)])
def test_static_torque_at_the_shoulder(arm, joints, torque):
    at(arm, joints)
    assert abs(arm.data.qfrc_bias[1]) == pytest.approx(torque, abs=0.03)


def test_joint_limits_are_those_of_the_controller(arm):
    ranges = np.array([arm.model.joint(n).range for n in JOINT_NAMES])
    np.testing.assert_allclose(ranges[:, 0], JOINT_LOWER, atol=1e-5)
    np.testing.assert_allclose(ranges[:, 1], JOINT_UPPER, atol=1e-5)


def test_model_and_closed_form_agree_everywhere(arm):
    rng = np.random.default_rng(0)
    for joints in rng.uniform(JOINT_LOWER, JOINT_UPPER, (50, 6)):
        at(arm, joints)
        pose = Kinematics().forward(joints)
        np.testing.assert_allclose(arm.tip_position(), pose.position, atol=1e-9)


def test_servos_give_at_most_their_stall_torque(arm):
    at(arm, ZERO)
    arm.data.ctrl[:6] = [1.5, 1.5, -1.5, 1.5, 1.5, 1.5]
    mujoco.mj_forward(arm.model, arm.data)
    np.testing.assert_allclose(np.abs(arm.data.actuator_force[:6]), [4.1, 8.2, 8.2, 4.1, 4.1, 1.4])
    # the description's lower effort limits at forearm_roll and wrist_rotate hold at the joint
    np.testing.assert_allclose(np.abs(arm.data.qfrc_actuator[:6]), [4.1, 8.2, 8.2, 2.0, 4.1, 1.0])


def test_sag_is_millimetres_and_an_overload_drops_the_arm(arm):
    at(arm, STRAIGHT_OUT)
    height = arm.tip_position()[2]
    arm.step_until(2_000_000_000)
    assert 0.0005 < height - arm.tip_position()[2] < 0.012
    hand = arm.body_id("gripper_link")
    arm.data.xfrc_applied[hand, 2] = -9.81 * 1.0
    arm.step_until(4_000_000_000)
    assert height - arm.tip_position()[2] > 0.1


def test_straight_motion_is_followed_within_a_centimetre():
    scene = Scene(SceneSpec((), ()), randomise=False)
    motion = Motion(scene)
    motion.go((0.25, -0.1, 0.10), 0.0, 0.044)
    motion.go((0.33, 0.12, 0.05), 0.5, 0.044)
    assert np.linalg.norm(scene.physics.tip_position() - [0.33, 0.12, 0.05]) < 0.010
    motion.wait(3, 0.044)
    assert np.linalg.norm(scene.physics.tip_position() - [0.33, 0.12, 0.05]) < 0.003


@pytest.mark.parametrize("width", [0.0, 0.02, 0.044])
def test_fingers_reach_the_commanded_gap_together(width):
    scene = Scene(SceneSpec((), ()), randomise=False)
    joints = scene.arm.read().joints
    scene.arm.send(Command(joints, width, 0))
    scene.clock.sleep_until_ns(1_500_000_000)
    state = scene.arm.read()
    assert state.gripper_width == pytest.approx(width, abs=5e-4)
    assert abs(state.gripper_effort) < 0.15
    left, right = scene.physics.data.qpos[6:8]
    assert left == pytest.approx(-right, abs=2e-4)
