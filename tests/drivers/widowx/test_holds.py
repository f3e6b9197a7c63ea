"""While a hold or a fault stands no setpoint moves, in any mode; only a person's word for this instance ends it."""

import numpy as np
import pytest
from helpers.widowx_setup import GRIPPER, TICK, UP, Rig, clear, following_rig

from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import WX250S
from drivers.hosting.checks import Mode
from robot.control.faults import Fault, FaultLatch
from trajectories.errors import SafetyError

HOLD = Fault("hold1", "Ada said hold", "hold", "Ada")
STOPS_S = 0.6
"""Braking from the fastest motion (2.5 rad/s at 20 rad/s^2), 0.1 s of standing, and the way back to the joint."""


@pytest.fixture
def rig():
    return following_rig()


def goals(rig):
    return {servo: rig.get(servo, "goal_position") for servo in rig.servos}


def stands(rig, seconds=1.0):
    """Not one goal moves by a tick from now on."""
    before = goals(rig)
    looks = []
    rig.watch = lambda: looks.append(goals(rig) == before)
    rig.wait(seconds)
    rig.watch = None
    assert all(looks)
    assert len(looks) >= 50


def begin_rest(rig):
    rig.servos[3].protection.temperature_c, rig.servos[3].protection.cooling_s = 76.0, 1e9
    rig.wait(3.5)
    assert rig._arm.mode is Mode.REST
    assert np.abs(np.array(UP) - rig.joints).max() > 0.2  # on its way
    assert np.abs(np.array(WX250S.sleep) - rig.joints).max() > 0.2


def begin_sleep(rig):
    due = rig.now_ns() + 500_000_000
    rig.watch = lambda: rig.now_ns() > due and rig._arm.trip(HOLD)
    with pytest.raises(SafetyError, match="didn't reach its sleep pose"):
        rig._arm.sleep()
    rig.watch = None


def begin_following(rig):
    rig._arm.send(rig.command((1.5, *UP[1:]), width=0.0))
    rig.wait(0.2)


@pytest.mark.parametrize("begin", [begin_following, begin_sleep, begin_rest])
def test_a_hold_freezes_every_mode_until_exactly_this_hold_is_cleared(rig, begin):
    arm = rig._arm
    begin(rig)
    arm.trip(HOLD)
    rig.wait(STOPS_S)
    assert arm.mode is Mode.HOLD
    stands(rig)
    for use in (lambda: arm.send(rig.command(UP)), arm.sleep):
        with pytest.raises(SafetyError, match="Ada said hold"):
            use()
    with pytest.raises(SafetyError, match=r"hold2 doesn't stand.*hold1: Ada said hold"):
        arm.clear("Ada", ["hold2"])
    with pytest.raises(SafetyError, match="must be named"):
        arm.clear("Ada", [])
    stands(rig)
    assert arm.faults[-1] == HOLD
    arm.clear("Ada", ["hold1"])
    assert HOLD not in arm.faults


def test_a_hold_without_a_latch_stops_a_rest_for_good_too(rig):
    begin_rest(rig)
    rig.watch = rig._arm.hold
    rig.wait(STOPS_S)
    stands(rig, 2.0)
    assert [fault.kind for fault in rig._arm.faults] == ["rest", "hold"]


def test_after_the_word_for_the_hold_a_rest_goes_on(rig):
    arm = rig._arm
    begin_rest(rig)
    arm.trip(HOLD)
    rig.wait(1.0)
    arm.clear("Ada", ["hold1"])
    assert [fault.kind for fault in arm.faults] == ["rest"]
    rig.wait(7.0)
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)


def hold(rig):
    rig._arm.hold()


def latched_hold(rig):
    rig._arm.trip(HOLD)


def fault(rig):
    rig.servos[8].protection.forced = HardwareError.OVERLOAD


@pytest.mark.parametrize("stop", [hold, latched_hold, fault])
def test_the_gripper_stops_with_the_arm(rig, stop):
    rig.drive(UP, width=0.07, seconds=1.0)
    rig._arm.send(rig.command(UP, width=0.0))
    rig.wait(0.15)
    before = rig._arm.read().gripper_width
    assert before > 0.035
    stop(rig)
    rig.wait(0.4)
    assert rig._arm.read().gripper_width > before - 0.025  # braked; it would have closed in the meantime
    stands(rig)


def test_a_gripper_in_motion_stops_when_the_session_falls_silent():
    rig = Rig()
    rig.arm(command_timeout_s=0.1)
    rig.drive(UP, width=0.07, seconds=1.0)
    rig._arm.send(rig.command(UP, width=0.0))
    rig.wait(0.6)
    assert rig._arm.read().gripper_width > 0.02
    stands(rig)


def test_what_the_gripper_holds_stays_held_and_its_goal_is_not_far_beyond():
    rig = Rig()
    arm = rig.arm()
    rig.motors.grip_stop_rad = None
    rig.drive(UP, width=0.04, seconds=1.0)
    arm.trip(HOLD)
    rig.wait(STOPS_S)
    assert rig.get(GRIPPER, "goal_pwm") == arm.settings.gripper.hold_pwm
    beyond = rig.motors.positions[-1] - (rig.get(GRIPPER, "goal_position") - 2048) * TICK
    assert abs(beyond) < arm.settings.gripper.squeeze + 0.02


def test_a_word_for_one_fault_leaves_the_hold_that_came_meanwhile(rig):
    arm = rig._arm
    rig.servos[2].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.05)
    rig.servos[2].protection.forced = HardwareError(0)
    rig.wait(0.5)
    seen = [one.id for one in arm.faults]
    sent = len(rig.port.sent)

    def press():
        if len(rig.port.sent) > sent + 20:  # in the midst of restarting the servos
            arm.trip(HOLD)

    write = rig.port.write
    rig.port.write = lambda data: (press(), write(data))[1]
    arm.clear("Ada", seen)
    rig.port.write = write
    assert arm.faults == (HOLD,)
    assert all(rig.torques.values())
    with pytest.raises(SafetyError, match="Ada said hold"):
        arm.send(rig.command(UP))
    rig.wait(STOPS_S)
    stands(rig)


def test_a_fault_that_came_meanwhile_must_be_named_before_servos_are_restarted(rig):
    arm = rig._arm
    for servo in (2, 7):
        rig.servos[servo].protection.forced = HardwareError.OVERLOAD
        rig.wait(0.05)
        rig.servos[servo].protection.forced = HardwareError(0)
        rig.wait(0.3)
    first, second = arm.faults
    sent = len(rig.port.sent)
    with pytest.raises(SafetyError, match=rf"Other faults stand.*{second.id}: Servo 7"):
        arm.clear("Ada", [first.id])
    assert [data for _, data in rig.port.sent[sent:] if data[7] == 0x08] == []
    assert arm.faults == (first, second)
    arm.clear("Ada", [first.id, second.id])
    assert arm.faults == ()


def test_a_new_driver_finds_what_stood_and_moves_nothing(tmp_path):
    record = tmp_path / "arm.faults"
    rig = Rig()
    arm = rig.arm(FaultLatch(record))
    rig.drive(UP, seconds=0.3)
    rig.servos[7].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.1)
    rig.servos[7].protection.forced = HardwareError(0)
    arm.trip(HOLD)
    rig.wait(0.5)
    stood = {fault.id for fault in arm.faults}
    assert not rig.torques[7]
    arm = rig.arm(FaultLatch(record))  # the process before was killed
    assert {fault.id for fault in arm.faults} >= stood  # and that the servo still reports its error
    assert not rig.torques[7]  # nobody supports it yet
    with pytest.raises(SafetyError, match="takes no commands"):
        arm.send(rig.command(UP))
    stands(rig)
    clear(arm)
    assert not record.exists()
    rig.drive(UP, seconds=0.3)
    assert all(rig.torques.values())


def test_a_rest_is_not_begun_anew_by_the_next_driver(tmp_path):
    record = tmp_path / "arm.faults"
    rig = Rig()
    rig.arm(FaultLatch(record))
    rig.drive(UP, seconds=0.3)
    begin_rest(rig)
    (before,) = rig._arm.faults
    arm = rig.arm(FaultLatch(record))
    rig.wait(STOPS_S)
    stands(rig, 2.0)
    assert arm.mode is Mode.FAULT
    assert (before.id, "fault") in [(one.id, one.kind) for one in arm.faults]


def test_closing_while_a_hold_stands_leaves_the_arm_where_it_is_with_torque_on(rig):
    arm = rig._arm
    arm.trip(HOLD)
    rig.wait(0.2)
    before = rig.joints.copy()
    arm.close()
    np.testing.assert_allclose(rig.joints, before, atol=3 * TICK)
    assert all(rig.torques.values())
    assert "HOLDS WITH TORQUE ON" in arm.farewell
