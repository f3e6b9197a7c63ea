"""What goes wrong on an arm, and that it neither drops nor jumps, before and after a person cleared it."""

import numpy as np
import pytest
from helpers.widowx_setup import TICK, UP, Rig, clear, following_rig

from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.registers import ticks_to_rad
from drivers.dynamixel.servo_map import WX250S
from drivers.errors import PortLostError, ServoRefusedError, ServoTimeoutError
from drivers.hosting.checks import Mode
from drivers.widowx.setpoints import MotionLimits
from drivers.widowx.settings import GuardLimits
from sim.virtual.bus_faults import BusFaults
from trajectories.errors import DeviceError, SafetyError, StaleDataError


@pytest.fixture
def rig():
    return following_rig()


def follows_again(rig, arm):
    """It moves when told, and only then."""
    before = rig.joints.copy()
    rig.wait(0.3)
    np.testing.assert_allclose(rig.joints, before, atol=3 * TICK)
    goal = np.array(UP) + 0.1
    rig.drive(goal, seconds=1.0)
    np.testing.assert_allclose(arm.read().joints, goal, atol=3 * TICK)
    assert all(rig.torques.values())


def stays_frozen(rig, seconds=0.4):
    with pytest.raises(SafetyError, match="takes no commands"):
        rig._arm.send(rig.command((0,) * 6))
    before = rig.joints.copy()
    rig.wait(seconds)
    np.testing.assert_allclose(rig.joints, before, atol=3 * TICK)


# -- before a servo trips -------------------------------------------------------------------------------
def test_a_blocked_joint_rests_before_it_trips(rig):
    arm = rig._arm
    rig.motors.blocked = {0}
    with pytest.raises(SafetyError, match=r"rests.*Servo 1 \(waist\) carried"):
        rig.drive((UP[0] + 0.6, *UP[1:]), seconds=3.0)
    assert arm.mode is Mode.REST
    rig.wait(0.6)
    assert abs(rig.get(1, "present_current")) < 0.3 * 2.3 / 0.00269  # let go of what it pushed
    rig.motors.blocked = set()
    rig.wait(6.0)
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)
    assert all(rig.torques.values())
    assert not any(one.hardware_error for one in rig.servos.values())
    with pytest.raises(SafetyError, match="gives a name"):
        clear(arm, " ")
    clear(arm)
    assert arm.fault is None
    follows_again(rig, arm)


def test_without_the_guard_the_same_load_would_trip():
    """So that the test above can fail."""
    rig = Rig()
    rig.arm(guard=GuardLimits(load_levels=((1.0, 99.0),)))
    rig.motors.blocked = {0}
    with pytest.raises(SafetyError, match="overload"):
        rig.drive((UP[0] + 0.6, *UP[1:]), seconds=4.0)
    assert not rig.torques[1]


def test_a_load_that_resting_does_not_end_freezes(rig):
    arm = rig._arm
    rig.motors.outside = {2: 0.74}
    rig.wait(1.7)
    assert arm.mode is Mode.REST
    rig.wait(2.0)
    assert arm.mode is Mode.FAULT
    assert "in spite of resting" in arm.fault
    assert all(rig.torques.values())


def test_a_hot_servo_rests_in_the_sleep_pose_and_is_not_cleared_before_it_is_cool(rig):
    arm = rig._arm
    rig.servos[3].protection.temperature_c = 76.0
    rig.servos[3].protection.cooling_s = 1e9
    rig.wait(8.0)
    assert arm.mode is Mode.REST
    assert "Servo 3 (shoulder_shadow, joint shoulder) is 76 C hot" in arm.fault
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)
    with pytest.raises(SafetyError, match="Servo 3 is still 76 C hot"):
        clear(arm)
    rig.servos[3].protection.temperature_c = 50.0
    rig.wait(0.2)
    clear(arm)
    assert arm.mode is Mode.FOLLOW


def test_a_sagging_supply_rests(rig):
    rig.virtual.supply_v = 10.0
    rig.wait(1.0)
    assert rig._arm.mode is Mode.REST
    assert "10.0 V" in rig._arm.fault


# -- after a servo tripped ------------------------------------------------------------------------------
@pytest.mark.parametrize("servo", [2, 3])
def test_an_overload_of_a_pair_freezes_the_rest_and_both_are_restarted_on_a_word(rig, servo):
    arm = rig._arm
    arm.send(rig.command((1.5, *UP[1:])))
    rig.wait(0.2)
    rig.servos[servo].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.02)
    rig.servos[servo].protection.forced = HardwareError(0)
    rig.wait(0.5)
    assert arm.mode is Mode.FAULT
    assert rig.joints[0] < 0.9  # far from 1.5
    assert f"Servo {servo} (shoulder" in arm.fault
    assert "overload" in arm.fault
    stays_frozen(rig)
    assert [s for s, on in rig.torques.items() if not on] == [servo]
    sent = len(rig.port.sent)
    arm.hold()
    rig.wait(1.0)
    reboots = [data[4] for _, data in rig.port.sent[sent:] if data[7] == 0x08]
    assert reboots == []  # never by itself
    clear(arm)
    reboots = [data[4] for _, data in rig.port.sent[sent:] if data[7] == 0x08]
    assert sorted(reboots) == [2, 3]
    assert rig.get(servo, "profile_velocity") == 131
    assert rig.get(servo, "bus_watchdog") == 15
    follows_again(rig, arm)


def test_an_error_that_stays_is_not_cleared(rig):
    arm = rig._arm
    rig.servos[7].protection.forced = HardwareError.SHOCK
    rig.wait(0.1)
    with pytest.raises(SafetyError, match=r"Servo 7 \(wrist_angle\).*SHOCK.*short circuit"):
        clear(arm)
    assert arm.mode is Mode.FAULT
    assert all(rig.get(s, "bus_watchdog") == 15 for s in rig.servos)
    stays_frozen(rig, 0.3)


def test_a_servo_that_tripped_before_the_start_waits_for_a_person():
    rig = Rig()
    rig.arm()
    rig.drive(UP, seconds=0.2)
    rig.servos[4].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.02)
    rig.servos[4].protection.forced = HardwareError(0)
    before = rig.joints.copy()
    arm = rig.arm()  # a new process
    assert "Servo 4 (elbow) reports overload" in arm.fault
    rig.virtual.faults.dropped = 1.0  # nothing is known in the first cycles
    rig.wait(0.06)
    rig.virtual.faults.dropped = 0.0
    rig.wait(0.5)
    np.testing.assert_allclose(rig.joints, before, atol=3 * TICK)
    assert [s for s, on in rig.torques.items() if not on] == [4]
    clear(arm)
    follows_again(rig, arm)


# -- servos that vanish or restart ----------------------------------------------------------------------
def test_a_servo_that_falls_silent_freezes_the_others():
    rig = Rig(latency_s=0.008)  # of a slow adapter: no time for repetitions within a cycle
    arm = rig.arm()
    rig.drive(UP, seconds=0.3)
    arm.send(rig.command((1.5, *UP[1:])))
    rig.wait(0.1)
    ages = []
    rig.watch = lambda: ages.append(rig.now_ns() - arm._loop._reader.newest[6].t_ns)
    rig.virtual.faults.dead = {7}
    rig.wait(0.6)
    assert max(ages) < 50_000_000  # the others are found out quickly
    assert "Servo 7 (wrist_angle) hasn't answered" in arm.fault
    assert "Servo 6" not in arm.fault
    with pytest.raises(StaleDataError, match="Servo 7"):
        arm.read()
    stays_frozen(rig)
    with pytest.raises(DeviceError, match="7"):
        clear(arm)
    rig.virtual.faults.dead = set()
    rig.wait(2.5)  # the bus waits this long for late replies after so many unanswered questions
    clear(arm)
    follows_again(rig, arm)


def test_a_short_silence_is_survived(rig):
    arm = rig._arm
    rig.virtual.faults.dead = {7}
    rig.wait(0.05)
    rig.virtual.faults.dead = set()
    rig.wait(0.3)
    assert arm.fault is None
    assert arm.report().incomplete > 0
    follows_again(rig, arm)


def test_a_shadow_that_browned_out_stays_free_until_a_person_clears(rig):
    arm = rig._arm
    rig.servos[3].reboot(rig.now_ns())
    rig.wait(0.6)
    assert "Servo 3 (shoulder_shadow, joint shoulder)" in arm.fault
    assert "restarted" in arm.fault or "answered" in arm.fault
    assert not rig.torques[3]
    assert rig.torques[2]
    assert arm.read().joints[1] == pytest.approx(UP[1], abs=3 * TICK)  # -180 degrees is never believed
    stays_frozen(rig)
    clear(arm)
    assert rig.get(3, "profile_velocity") == 131
    follows_again(rig, arm)


def test_the_restart_itself_is_named(rig):
    rig.servos[3]._boot_ns = 0
    rig.servos[3].reboot(rig.now_ns())
    rig.wait(0.1)
    assert "restarted" in rig._arm.fault
    assert "power supply" in rig._arm.fault


# -- the line -------------------------------------------------------------------------------------------
def test_unplugging_holds_and_plugging_in_again_waits_for_a_person(rig):
    arm = rig._arm
    arm.send(rig.command((1.5, *UP[1:])))
    rig.wait(0.15)
    rig.port.unplugged = True
    rig.wait(1.0)
    assert arm.mode is Mode.LOST
    assert all(rig.get(s, "bus_watchdog") == -1 for s in rig.servos)  # they stopped by themselves
    with pytest.raises(StaleDataError, match="went away"):
        arm.read()
    with pytest.raises(SafetyError):
        arm.send(rig.command(UP))
    with pytest.raises(SafetyError, match="isn't back"):
        clear(arm)
    stopped = rig.joints.copy()
    rig.wait(1.0)
    rig.port.unplugged = False
    rig.wait(1.5)
    assert arm.mode is Mode.FAULT
    assert "is back" in arm.fault
    np.testing.assert_allclose(rig.joints, stopped, atol=3 * TICK)
    np.testing.assert_allclose(arm.read().joints, stopped, atol=3 * TICK)
    assert all(rig.get(s, "bus_watchdog") == 15 for s in rig.servos)
    assert all(rig.get(s, "profile_velocity") == 131 for s in rig.servos)
    stays_frozen(rig)
    clear(arm)
    follows_again(rig, arm)


def test_servos_that_fall_silent_while_their_goals_are_looked_at_do_not_end_the_loop():
    """The loop asks for the gripper's goal once after a start with a fault; here that question isn't answered."""
    rig = Rig()
    rig.servos[4].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.02)
    rig.servos[4].protection.forced = HardwareError(0)
    arm = rig.arm()
    read = arm._loop.bus.read

    def unheard(servo, name, budget_s=None):
        rig.virtual.faults.dead = {servo}
        try:
            return read(servo, name, budget_s)
        finally:
            rig.virtual.faults.dead = set()

    arm._loop.bus.read = unheard
    rig.wait(0.1)
    assert "Servo 4 (elbow) reports overload" in arm.fault
    assert "can't be controlled: Servo 9 didn't answer" in arm.fault
    arm._loop.bus.read = read
    rig.wait(2.5)
    clear(arm)
    follows_again(rig, arm)


@pytest.mark.parametrize("error", [ServoRefusedError("Servo 2 refuses.", 2, 7), ServoTimeoutError("Silent.", (2,))])
def test_an_error_that_nobody_expected_latches_and_the_loop_goes_on(rig, error):
    arm = rig._arm
    write = arm._loop.goals.write

    def fails(goals):
        arm._loop.goals.write = write
        raise error

    arm._loop.goals.write = fails
    rig.wait(0.1)
    assert arm.mode is Mode.FAULT
    assert str(error) in arm.fault
    stays_frozen(rig)
    clear(arm)
    follows_again(rig, arm)


def test_plugging_in_an_arm_that_lost_its_power_switches_no_torque_on(rig):
    arm = rig._arm
    rig.port.unplugged = True
    rig.virtual.supply_v = 0.0
    rig.wait(0.5)
    rig.virtual.supply_v = 12.0
    rig.wait(1.0)
    rig.port.unplugged = False
    rig.wait(1.5)
    assert not any(rig.torques.values())
    assert arm.fault is not None
    clear(arm)
    follows_again(rig, arm)


def test_servos_hold_when_the_loop_dies_and_a_new_driver_takes_them_over(rig):
    rig._arm.send(rig.command((2.5, *UP[1:])))
    rig.wait(0.3)
    rig.running = False  # the process was killed in the middle of a motion
    rig.wait(0.5)
    stopped = rig.joints.copy()
    rig.wait(1.0)
    np.testing.assert_allclose(rig.joints, stopped, atol=TICK)
    assert all(rig.get(s, "bus_watchdog") == -1 for s in rig.servos)
    assert all(rig.torques.values())
    # They braked before their goals: such a goal isn't where the arm is.
    rig.servos[1].memory.set("goal_position", rig.get(1, "present_position") + 50)
    rig.running = True
    arm = rig.arm()
    rig.wait(0.3)
    np.testing.assert_allclose(rig.joints, stopped, atol=3 * TICK)
    assert arm.fault is None
    assert all(rig.get(s, "profile_velocity") == 131 for s in rig.servos)
    follows_again(rig, arm)


def test_a_stalled_loop_finds_the_watchdogs_tripped(rig):
    arm = rig._arm
    rig.running = False
    rig.wait(0.5)
    rig.running = True
    rig.wait(0.3)
    assert "watchdog" in arm.fault
    stays_frozen(rig)
    clear(arm)
    follows_again(rig, arm)


# -- closing in trouble ---------------------------------------------------------------------------------
def test_clearing_a_tripped_watchdog_moves_nothing_towards_the_old_goal():
    rig = Rig()
    arm = rig.arm(watchdog_units=3, profile_velocity=10, motion=MotionLimits(0.5, 10.0))  # the servos lag behind
    arm.send(rig.command((UP[0] + 1.0, *UP[1:])))
    rig.wait(0.3)
    rig.running = False
    rig.wait(1.0)
    rig.running = True
    rig.wait(0.3)
    stood = rig.joints
    goal = ticks_to_rad(rig.get(1, "goal_position"))
    assert 0.03 < goal - stood[0] < 0.1
    clear(arm)
    rig.wait(1.0)
    np.testing.assert_allclose(rig.joints, stood, atol=2 * TICK)


def test_closing_with_a_fault_holds(rig):
    rig.servos[8].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.1)
    arm = rig._arm
    arm.close()
    assert "TORQUE ON" in arm.farewell
    rig.wait(1.0)
    assert [s for s, on in rig.torques.items() if not on] == [8]
    with pytest.raises(PortLostError, match="connect"):
        clear(arm)


def test_closing_without_a_port_says_so(rig):
    rig.port.unplugged = True
    rig.wait(0.1)
    rig._arm.close()
    assert "TORQUE ON" in rig._arm.farewell
    assert all(rig.torques.values())


def test_noise_while_taking_over_and_clearing():
    for seed in range(4):
        rig = Rig(faults=BusFaults(damaged=0.01, seed=seed))
        arm = rig.arm()
        rig.servos[2].protection.forced = HardwareError.OVERLOAD
        rig.wait(0.02)
        rig.servos[2].protection.forced = HardwareError(0)
        rig.wait(0.1)
        clear(arm)
        assert all(rig.torques.values())
        assert arm.fault is None
