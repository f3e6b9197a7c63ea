"""What must hold before a joint gets its torque, and in the moments in which servos are taken over."""

import numpy as np
import pytest
from helpers.widowx_setup import TICK, UP, Rig, clear

from drivers.dynamixel.servo_map import VX300S, WX250S
from drivers.hosting.checks import Mode
from drivers.widowx import startup
from drivers.widowx.settings import ArmSettings
from robot.control.safety_limits import SafetyLimits
from sim.virtual.bus import arm_servos
from sim.virtual.bus_faults import BusFaults
from sim.virtual.servo import Habits, VirtualServo
from trajectories.errors import DeviceError, SafetyError

SLOW_LINE = {"late": 1.0, "late_s": 0.002}
"""Every reply takes as long as an adapter with the latency timer at 1 ms needs."""
FAR = (UP[0] + 1.2, *UP[1:3], UP[3] + 1.2, *UP[4:])


def rig_with_tripped_watchdogs(resumes=True):
    """An arm that stopped for silence, far from its goals."""
    rig = Rig(servos=arm_servos(habits=Habits(resumes_goal=resumes)), faults=BusFaults(**SLOW_LINE), latency_s=0.008)
    rig.arm(latency_s=0.008)
    rig.drive(FAR, seconds=0.3)
    rig.running = False
    rig.wait(0.6)
    for servo in (1, 2, 4, 6):  # what was wanted last, far from where they braked
        rig.servos[servo].memory.set("goal_position", rig.get(servo, "present_position") + 400)
        for shadow in (place.servo for place in WX250S.places if place.secondary_id == servo):
            rig.servos[shadow].memory.set("goal_position", rig.get(servo, "present_position") + 400)
    assert all(rig.get(s, "bus_watchdog") == -1 for s in rig.servos)
    assert all(rig.torques.values())
    rig.motors.watch()
    return rig


# -- no window ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("resumes", [True, False])
def test_a_new_driver_takes_servos_over_that_would_go_on_to_their_old_goals(resumes):
    rig = rig_with_tripped_watchdogs(resumes)
    rig.running = True
    arm = rig.arm(latency_s=0.008)
    rig.wait(0.5)
    assert max(rig.motors.farthest) < 0.03  # 4.8 rad/s for one reply; a hundred replies are 0.5 rad
    np.testing.assert_allclose(rig.joints, rig.motors.watched[:6], atol=3 * TICK)
    assert arm.fault is None


def test_clearing_a_fault_leaves_no_window_either():
    rig = rig_with_tripped_watchdogs()
    rig.running = True
    rig.wait(0.2)
    arm = rig._arm
    assert "watchdog" in arm.fault
    clear(arm)
    rig.wait(0.5)
    assert max(rig.motors.farthest) < 0.03
    np.testing.assert_allclose(rig.joints, rig.motors.watched[:6], atol=3 * TICK)


def test_closing_leaves_no_window_either():
    rig = rig_with_tripped_watchdogs()
    rig._arm.leave()
    rig.wait(0.5)
    assert max(rig.motors.farthest) < 0.03
    assert all(rig.torques.values())


def test_one_joint_is_told_where_it_is_before_the_next_is_cleared():
    rig = rig_with_tripped_watchdogs()
    sent = len(rig.port.sent)
    bus = rig.bus()
    bus.identify(WX250S.servos)
    assert startup.disarm_watchdogs(bus, WX250S) == set(range(7))
    writes = [data for _, data in rig.port.sent[sent:] if data[7] == 0x03]
    told = [(data[4], int.from_bytes(data[8:10], "little")) for data in writes]
    joints = [(1,), (2, 3), (4, 5), (6,), (7,), (8,), (9,)]
    expected = []  # watchdog, goal; then the profile; then the next joint
    for joint in joints:
        expected += [*((servo, address) for servo in joint for address in (98, 116)), *((s, 112) for s in joint)]
    assert told == expected
    assert all(rig.get(s, "bus_watchdog") == 0 for s in rig.servos)
    assert all(rig.get(s, "profile_velocity") == 10 for s in rig.servos)  # 0.24 rad/s, not unlimited


# -- cool -----------------------------------------------------------------------------------------------
def test_a_hot_arm_gets_no_torque_before_it_is_cool_and_a_person_clears():
    rig = Rig()
    rig.servos[3].protection.temperature_c = 79.0
    rig.servos[3].protection.cooling_s = 1e9
    rig.wait(0.05)
    arm = rig.arm()
    assert arm.mode is Mode.FAULT
    assert "Servo 3 is still 79 C hot; wait until it is below 72 C." in arm.fault
    with pytest.raises(SafetyError, match="79 C"):
        arm.send(rig.command(FAR))
    before = rig.joints.copy()
    rig.wait(0.5)
    assert not any(rig.torques.values())
    np.testing.assert_array_equal(rig.joints, before)
    rig.servos[3].protection.temperature_c = 50.0
    rig.wait(0.2)
    clear(arm)
    assert all(rig.torques.values())
    rig.drive(UP, seconds=0.2)


def test_a_hot_arm_that_holds_goes_on_holding_and_rests_at_once():
    rig = Rig()
    rig.arm()
    rig.drive(UP, seconds=0.3)
    rig.servos[8].protection.temperature_c = 66.0  # an XL430 trips at 72
    rig.servos[8].protection.cooling_s = 1e9
    rig.wait(0.05)
    arm = rig.arm()  # a new process
    assert all(rig.torques.values())
    rig.wait(0.02)
    assert arm.mode is Mode.REST
    assert "Servo 8 is still 66 C hot; wait until it is below 64 C." in arm.fault


# -- verified -------------------------------------------------------------------------------------------
class Forgetful(VirtualServo):
    """Says that it took a register and doesn't keep it."""

    forgets = ""

    def _set(self, register, value):
        if register.name != self.forgets:
            super()._set(register, value)


@pytest.mark.parametrize(
    "name",
    [
        "profile_velocity",
        "position_p_gain",
        "position_d_gain",
        "goal_pwm",
        "goal_position",
        "bus_watchdog",
        "torque_enable",
    ],
)
def test_every_setting_is_read_back(name):
    place = WX250S.gripper if name == "goal_pwm" else WX250S.place(7)
    servos = arm_servos()
    forgetful = Forgetful(place.servo, place.table, place.joint, -1 if place.drive_mode else 1)
    for register in place.table.registers.values():
        if register.eeprom and register.writable:
            forgetful.memory.set(register.name, servos[place.servo - 1].memory.get(register.name))
    servos[place.servo - 1] = forgetful
    rig = Rig(servos=servos)
    for one in rig.servos.values():
        one.memory.set("position_p_gain", 640)
        one.memory.set("position_d_gain", 30)
        one.memory.set("goal_position", 2600)
    forgetful.forgets = name
    with pytest.raises(DeviceError, match=rf"Servo {place.servo} \({place.name}\): {name} is \d+, expected \d+"):
        rig.arm()


def test_what_was_kept_passes():
    rig = Rig()
    arm = rig.arm(position_gains=(640, 0, 20), watchdog_units=20)
    assert arm.fault is None
    bus = rig.bus()
    bus.identify(WX250S.servos)
    goals = [rig.get(place.servo, "goal_position") for place in WX250S.leaders]
    startup.verify_ram(bus, WX250S, ArmSettings(position_gains=(640, 0, 20), watchdog_units=20), goals)


# -- efforts --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("servo_map", [WX250S, VX300S], ids=lambda one: one.name)
@pytest.mark.parametrize("reverses", [True, False])
def test_the_effort_of_a_pair_is_that_of_both_servos_whatever_the_sign_of_their_currents(servo_map, reverses):
    rig = Rig(model=servo_map, servos=arm_servos(servo_map, habits=Habits(reverses_effort=reverses)))
    rig.arm()
    rig.drive(UP, seconds=0.3)
    rig.motors.outside = {1: 0.6, 4: 0.4}  # of the stall torque of each servo, by joint
    rig.wait(0.1)
    efforts = np.abs(rig._arm.read().efforts)
    stall = {"wx250s": 4.1, "vx300s": 10.6}[servo_map.name]
    assert efforts[1] == pytest.approx(2 * 0.6 * stall, abs=0.1)
    assert efforts[4] == pytest.approx(0.4 * stall, abs=0.1)
    assert efforts[0] == pytest.approx(0.0, abs=0.1)


def test_a_pair_that_pushes_too_hard_is_noticed_with_signs_as_in_the_manual():
    rig = Rig(servos=arm_servos(habits=Habits(reverses_effort=False)))
    rig.arm()
    rig.motors.outside = {1: 0.98}
    rig.wait(0.1)
    assert abs(rig._arm.read().efforts[1]) > SafetyLimits.max_efforts[1]
