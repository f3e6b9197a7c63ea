"""The leader arm: poses become the same actions, the follower ends where the leader points, torque is left alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.fake_input import ManualTime, ScriptedDevice, wait_for

from drivers.dynamixel.registers import rad_to_ticks
from drivers.errors import PortLostError, ServoTimeoutError, TeleopError
from drivers.teleop.combined import CombinedDevice
from drivers.teleop.follow import GRIPPER, Follow, FollowConfig
from drivers.teleop.keys import Key
from drivers.teleop.leader import LeaderConfig, leader
from drivers.teleop.motion import Gripper, Motion, to_action
from drivers.teleop.status import State
from robot.arms.wx250s import WX250S
from robot.control.kinematics import JOINT_NAMES, Kinematics
from robot.control.pose import Pose, multiply, rows_from_rpy, rpy_from_rows
from trajectories.types import RobotSpec

KINEMATICS = Kinematics()
SCALE = RobotSpec().action_scale
START = KINEMATICS.inverse(Pose.of((0.25, 0.0, 0.15)), (0.0, 0.0, 0.0, 0.0, 1.5, 0.0))
STEP = 0.2


class Leader:
    """A `Follow` whose leader stands where it is told."""

    def __init__(self, **settings):
        self.follow, self.time = Follow(FollowConfig(**settings), SCALE, WX250S), ManualTime()
        self.joints = START

    def at(self, *position, rpy=(0.0, 0.0, 0.0), gripper=0.4):
        self.joints = KINEMATICS.inverse(Pose.of(position, rpy), self.joints)
        self.follow.update([*zip(JOINT_NAMES, self.joints, strict=True), (GRIPPER, gripper)], self.time.ns)
        return self

    def look(self, after=STEP):
        self.time.advance(after)
        return self.follow.motion(self.time.ns)


def test_the_way_of_the_tip_in_fractions_of_a_step():
    arm = Leader().at(0.25, 0.0, 0.15)
    assert not arm.look().active  # where it stands at first is where it starts from
    motion = arm.at(0.27, -0.01, 0.15, rpy=(0.0, 0.0, 0.125)).look()
    assert motion.active
    np.testing.assert_allclose(motion.rates, (0.4, -0.2, 0.0, 0.0, 0.0, 0.5), atol=1e-6)
    assert not arm.at(0.27, -0.01, 0.15, rpy=(0.0, 0.0, 0.125)).look().active


def test_a_long_way_is_made_up_in_the_next_steps_and_the_follower_arrives():
    arm = Leader().at(0.25, 0.0, 0.15)
    arm.look()
    pose = KINEMATICS.forward(arm.joints)
    goal = Pose.of((0.33, 0.12, 0.10), (0.1, -0.2, 0.6))
    steps = 0
    while True:
        arm.at(*goal.position, rpy=goal.rpy)
        action = to_action(arm.look(), True)
        if not action[:6].any():
            break
        steps += 1
        delta = action[:6] * np.array(SCALE[:6])
        rpy = rpy_from_rows(multiply(rows_from_rpy(delta[3:].tolist()), rows_from_rpy(pose.rpy.tolist())))
        pose = Pose.of(pose.position + delta[:3], rpy)
    assert steps == 3  # 0.12 m at 0.05 m a step, 0.63 rad at 0.25 rad a step
    np.testing.assert_allclose(pose.position, goal.position, atol=1e-6)
    np.testing.assert_allclose(pose.rpy, goal.rpy, atol=1e-5)


def test_slow_motion_adds_up_and_noise_does_not():
    arm = Leader(dead_zone_m=0.003).at(0.25, 0.0, 0.15)
    arm.look()
    for shake in (0.252, 0.248, 0.2505):
        assert not arm.at(shake, 0.0, 0.15).look().active
    total = sum(arm.at(0.25 + 0.001 * i, 0.0, 0.15).look().dx for i in range(1, 21))
    assert total * 0.05 == pytest.approx(0.02, abs=0.0031)
    assert total * 0.05 > 0.015


def test_what_the_leader_did_while_nobody_looked_is_dropped():
    arm = Leader(pause_s=1.0, stale_s=5.0).at(0.25, 0.0, 0.15)
    arm.look()
    assert not arm.at(0.30, 0.1, 0.2).look(after=1.1).active
    assert arm.at(0.31, 0.1, 0.2).look().dx == pytest.approx(0.2)


def test_a_silent_leader_holds_and_starts_anew():
    arm = Leader(stale_s=0.5).at(0.25, 0.0, 0.15)
    arm.look()
    motion = arm.look(after=0.4)
    assert not motion.active
    assert "silent for 0.6 s" in motion.problem
    assert not arm.at(0.30, 0.0, 0.15).look().active
    assert arm.at(0.31, 0.0, 0.15).look().active


def test_the_gripper_follows_from_the_first_time_that_it_crosses_a_limit():
    arm = Leader(gripper_open_rad=0.7, gripper_closed_rad=0.1)
    here = (0.25, 0.0, 0.15)
    angles = (1.0, 0.4, 0.75, 0.05, 0.05, 0.4, 0.8)
    wishes = [arm.at(*here, gripper=angle).look().gripper.value for angle in angles]
    assert wishes == ["unchanged"] * 3 + ["closed", "unchanged", "unchanged", "open"]
    arm.follow.reset(arm.time.ns)
    wishes = [arm.at(*here, gripper=angle).look().gripper.value for angle in (0.4, 0.8)]
    assert wishes == ["unchanged", "open"]


class FakeBus:
    """The part of `DynamixelBus` that a leader needs."""

    def __init__(self):
        self.torque, self.silent, self.missed, self.lost, self.closed = {}, False, 0, False, 0
        self.identified = ()
        self.joints = [*START, 0.4]

    def identify(self, servos):
        self.identified = tuple(servos)

    def sync_read(self, servos, name):
        if self.lost:
            raise PortLostError("the cable was pulled")
        if self.silent or self.missed:
            self.missed = max(0, self.missed - 1)
            raise ServoTimeoutError("no answer", (1,))
        if name == "torque_enable":
            return {servo: self.torque.get(servo, 0) for servo in servos}
        assert name == "present_position"
        return {servo: rad_to_ticks(angle) for servo, angle in zip(servos, self.joints, strict=True)}

    def close(self):
        self.closed += 1


@pytest.fixture
def rig():
    bus, time = FakeBus(), ManualTime()
    with leader(LeaderConfig(rate_hz=200, reconnect_s=0.01), lambda: bus, time) as device:
        device.start()
        yield SimpleNamespace(bus=bus, device=device, time=time)


def test_joints_of_the_servos_become_motion(rig):
    assert rig.bus.identified == (1, 2, 4, 6, 7, 8, 9)  # shadows follow
    wait_for(lambda: rig.device.status.events >= 1)
    assert not rig.device.latest().active
    rig.bus.joints[0] += 0.1  # the waist turns left: the tip goes to y = 0.25 sin 0.1
    events = rig.device.status.events
    wait_for(lambda: rig.device.status.events >= events + 2)
    motion = rig.device.latest()
    assert motion.dy * 0.05 == pytest.approx(0.25 * np.sin(0.1), abs=1e-3)
    assert motion.dyaw * 0.25 == pytest.approx(0.1, abs=2e-3)


def test_a_pulled_cable_holds_and_is_found_again(rig):
    rig.bus.lost = True
    wait_for(lambda: rig.device.status.state is State.LOST)
    assert "cable was pulled" in rig.device.latest().problem
    rig.bus.lost = False
    wait_for(lambda: rig.device.status.state is State.CONNECTED)


def test_a_missed_reading_is_no_reason_to_give_up(rig, monkeypatch):
    rig.bus.missed = 3
    events = rig.device.status.events
    wait_for(lambda: rig.bus.missed == 0 and rig.device.status.events > events + 1)
    assert rig.device.status.reconnects == 0
    monkeypatch.setattr("drivers.teleop.leader._GIVE_UP_S", 0.01)
    rig.bus.silent = True
    wait_for(lambda: rig.device.status.state is State.LOST)
    assert rig.bus.closed >= 1


def test_an_arm_with_torque_is_no_leader():
    bus = FakeBus()
    bus.torque = {4: 1}
    with pytest.raises(TeleopError, match=r"\(elbow\).*follower"):
        leader(LeaderConfig(), lambda: bus).start()
    assert bus.closed == 1


def test_two_devices_as_one():
    push, closed = Motion(dx=0.5, active=True), Motion(gripper=Gripper.CLOSED, dy=1.0, active=True)
    mover = ScriptedDevice((push, [Key.GRIPPER]), (push, []), (push, []))
    board = ScriptedDevice((Motion(), [Key.START]), (closed, []), (Motion(problem="keyboard: gone"), []))
    both = CombinedDevice(mover, board)
    assert both.latest() == push
    assert both.pressed() == [Key.GRIPPER, Key.START]
    assert both.latest() == Motion(dx=0.5, gripper=Gripper.CLOSED, active=True)
    assert both.latest() == Motion(problem="keyboard: gone")


def test_two_devices_open_both_or_none():
    def refuse(on_key):
        raise TeleopError("no keyboard")

    closed = []
    mover = SimpleNamespace(start=lambda on_key: None, close=lambda: closed.append("mover"))
    with pytest.raises(TeleopError, match="no keyboard"):
        CombinedDevice(mover, SimpleNamespace(start=refuse)).start()
    assert closed == ["mover"]
