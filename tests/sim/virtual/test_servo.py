"""Every behaviour of a servo that a driver has to live with."""

import math

import pytest
from helpers.virtual_setup import IDS, Setup

from drivers.dynamixel import messages
from drivers.dynamixel.messages import HardwareError, Refusal
from drivers.dynamixel.registers import VELOCITY_UNIT_RAD_S, rad_to_ticks, ticks_to_rad
from drivers.dynamixel.servo_map import VX300S, WX250S
from drivers.dynamixel.tables import XL330_M288
from drivers.errors import ServoRefusedError, ServoTimeoutError, TorqueOnError
from sim.virtual.bus import arm_servos
from sim.virtual.servo import Habits, VirtualServo


@pytest.fixture
def setup():
    return Setup()


def refusal(call, *arguments):
    with pytest.raises(ServoRefusedError) as caught:
        call(*arguments)
    return caught.value.number


def raw_write(setup, servo, name, value):
    """Past the driver's own checks."""
    register = setup.bus.register(servo, name)
    request = messages.write(servo, register.address, register.encode(value))
    setup.bus.transactions.ask(servo, request, 0, "write")


# -- registers ------------------------------------------------------------------------------------------
def test_eeprom_is_locked_while_torque_is_on(setup):
    setup.bus.write(1, "velocity_limit", 100)
    assert setup.bus.read(1, "velocity_limit") == 100
    setup.bus.write(1, "torque_enable", 1)
    assert refusal(raw_write, setup, 1, "velocity_limit", 90) == Refusal.ACCESS
    heard = setup.virtual.heard
    with pytest.raises(TorqueOnError, match="Servo 1 holds its joint"):
        setup.bus.write(1, "velocity_limit", 90)
    assert setup.virtual.heard == heard + 1  # asked for the torque, wrote nothing
    setup.bus.write(1, "torque_enable", 0)
    setup.bus.write(1, "velocity_limit", 90)
    assert setup.bus.read(1, "velocity_limit") == 90


def test_values_out_of_range_and_beyond_limits_are_refused(setup):
    bus = setup.bus
    assert refusal(bus.write, 2, "goal_position", 818) == Refusal.DATA_LIMIT
    assert refusal(bus.write, 2, "goal_position", 3346) == Refusal.DATA_LIMIT
    bus.write(2, "goal_position", 819)
    assert refusal(bus.write, 1, "goal_velocity", 132) == Refusal.DATA_LIMIT
    assert refusal(bus.write, 1, "profile_velocity", 40_000) == Refusal.DATA_RANGE
    assert refusal(bus.write, 1, "torque_enable", 2) == Refusal.DATA_RANGE
    assert refusal(bus.write, 8, "operating_mode", 0) == Refusal.DATA_RANGE
    assert refusal(bus.write, 8, "operating_mode", 5) == Refusal.DATA_RANGE
    bus.write(1, "operating_mode", 4)
    bus.write(1, "goal_position", 50_000)
    assert refusal(bus.write_bytes, 1, 116, b"\x00\x08") == Refusal.DATA_LENGTH
    assert refusal(bus.write_bytes, 1, 132, b"\x00\x08\x00\x00") == Refusal.ACCESS
    assert refusal(bus.read_bytes, 1, 250, 10) == Refusal.ACCESS


def test_unknown_instructions_are_refused(setup):
    request = messages.encode(1, 0x20)
    with pytest.raises(ServoRefusedError) as caught:
        setup.bus.transactions.ask(1, request, 0, "backup")
    assert caught.value.number == Refusal.INSTRUCTION


def test_registered_writes_wait_for_the_action(setup):
    goal = setup.bus.register(1, "goal_position")
    for servo, ticks in ((1, 2100), (4, 2200)):  # as other programs may, on the virtual arm's port
        request = messages.reg_write(servo, goal.address, goal.encode(ticks))
        setup.bus.transactions.ask(servo, request, 0, "registered write")
    assert setup.bus.read(1, "registered_instruction") == 1
    assert setup.bus.read(1, "goal_position") == 2048
    setup.bus.transactions.tell(messages.action())
    assert [setup.bus.read(servo, "goal_position") for servo in (1, 4)] == [2100, 2200]
    assert setup.bus.read(1, "registered_instruction") == 0
    assert refusal(setup.bus.transactions.ask, 1, messages.action(1), 0, "action") == Refusal.INSTRUCTION


def test_status_return_level(setup):
    setup.bus.write(1, "status_return_level", 1)
    assert setup.bus.read(1, "status_return_level") == 1
    with pytest.raises(ServoTimeoutError, match="status return level 2"):
        setup.bus.write(1, "led", 1)
    assert setup.bus.read(1, "led") == 1  # done, but not confirmed
    with pytest.raises(ServoTimeoutError):
        setup.bus.write(1, "status_return_level", 0)
    setup.wait(2.1)  # nobody waits for late answers any more
    with pytest.raises(ServoTimeoutError):
        setup.bus.read(1, "led")
    setup.wait(2.1)
    assert setup.bus.ping(1).model == 1020


def test_indirect_registers_lead_elsewhere_until_the_restart(setup):
    bus = setup.bus
    bus.write_bytes(1, 168, b"".join(a.to_bytes(2, "little") for a in (65, 116, 117, 118, 119, 132)))
    bus.write_bytes(1, 224, b"\x01" + (2100).to_bytes(4, "little"))
    assert (bus.read(1, "led"), bus.read(1, "goal_position")) == (1, 2100)
    assert bus.read_bytes(1, 224, 6) == b"\x01\x34\x08\x00\x00\x00"
    assert refusal(bus.write_bytes, 1, 229, b"\x01") == Refusal.ACCESS  # part of a read-only register
    assert refusal(bus.write_bytes, 1, 168, (7).to_bytes(2, "little")) == Refusal.DATA_RANGE  # EEPROM
    bus.reboot(1)
    assert bus.read_bytes(1, 224, 6) == bytes(6)


def test_factory_reset_keeps_id_and_baud_rate(setup):
    setup.bus.transactions.ask(7, messages.factory_reset(7), 0, "factory reset")
    assert setup.bus.read(7, "velocity_limit") == 200
    assert setup.bus.read(7, "drive_mode") == 0
    assert setup.bus.read(7, "baud_rate") == 3


# -- shadows and directions -----------------------------------------------------------------------------
def test_shadows_follow_silently_and_keep_their_eeprom(setup):
    bus = setup.bus
    setup.hold(2)
    assert bus.read(3, "torque_enable") == 1
    bus.write(2, "profile_velocity", 60)
    assert bus.read(3, "profile_velocity") == 60
    assert bus.statistics.foreign_replies == 0  # the shadow said nothing
    bus.sync_write("goal_position", {2: 2600})
    assert bus.read(3, "goal_position") == 2600
    bus.write(2, "torque_enable", 0)
    bus.write(2, "velocity_limit", 77)
    assert bus.read(3, "velocity_limit") == 131


def test_the_pair_works_together_and_against_each_other_when_set_up_wrongly(setup):
    setup.hold(2)
    setup.bus.sync_write("goal_position", {2: 2448})
    setup.wait(1.0)
    assert setup.motors.positions[1] == pytest.approx(ticks_to_rad(2448), abs=0.01)
    assert abs(setup.bus.read(2, "present_current")) < 20
    setup.bus.write(2, "torque_enable", 0)
    setup.bus.write(3, "drive_mode", 0)
    setup.wait(0.02)
    assert setup.bus.read(3, "present_position") < 1700  # the other way round now
    setup.hold(2)
    setup.wait(0.2)
    assert abs(setup.bus.read(2, "present_current")) > 800


@pytest.mark.parametrize(
    ("servo_map", "reverses", "signs"),
    [
        (WX250S, None, (1, -1)),  # the XM430's page names positions only
        (WX250S, True, (1, 1)),
        (WX250S, False, (1, -1)),
        (VX300S, None, (1, 1)),  # the XM540's names everything
        (VX300S, False, (-1, 1)),  # there the leader is the reversed one
    ],
)
def test_the_sign_of_a_pairs_currents_is_as_set(servo_map, reverses, signs):
    setup = Setup(arm_servos(servo_map, habits=Habits(reverses_effort=reverses)))
    setup.hold(2)
    setup.motors.outside = {1: 0.3}
    setup.wait(0.1)
    share = 0.3 * servo_map.place(2).table.stall_current_a / servo_map.place(2).table.current_unit_a
    assert setup.bus.read(2, "present_current") == pytest.approx(signs[0] * share, abs=2)
    assert setup.bus.read(3, "present_current") == pytest.approx(signs[1] * share, abs=2)


def test_reverse_mode_turns_the_direction_round(setup):
    setup.motors.positions[4] = 0.5
    setup.wait(0.02)
    assert setup.bus.read(7, "present_position") == rad_to_ticks(0.5)
    setup.bus.write(7, "drive_mode", 0)
    setup.wait(0.02)
    assert setup.bus.read(7, "present_position") == rad_to_ticks(-0.5)


def test_homing_offset_shifts_positions(setup):
    setup.bus.write(1, "homing_offset", 100)
    setup.wait(0.02)
    assert setup.bus.read(1, "present_position") == 2148
    setup.hold(1)
    setup.bus.write(1, "goal_position", 2348)
    setup.wait(0.5)
    assert setup.motors.positions[0] == pytest.approx(ticks_to_rad(2248), abs=0.01)


# -- motion ---------------------------------------------------------------------------------------------
def test_a_velocity_profile_limits_the_speed(setup):
    setup.hold(1)
    setup.bus.write(1, "profile_velocity", 40)
    setup.bus.write(1, "goal_position", 3072)
    setup.wait(1.0)
    speed = 40 * VELOCITY_UNIT_RAD_S
    assert setup.motors.positions[0] == pytest.approx(speed * 1.0, abs=0.05)
    assert setup.bus.read(1, "present_velocity") == pytest.approx(40, abs=1)
    assert setup.bus.read(1, "moving") == 1
    setup.wait(1.5)
    assert setup.bus.read(1, "present_position") == pytest.approx(3072, abs=2)
    assert setup.bus.read(1, "moving") == 0


def test_the_velocity_limit_caps_the_profile(setup):
    setup.hold(1)
    setup.bus.write(1, "profile_velocity", 1000)
    setup.bus.write(1, "goal_position", 4000)
    setup.wait(0.5)
    assert setup.motors.positions[0] == pytest.approx(131 * VELOCITY_UNIT_RAD_S * 0.5, abs=0.12)


def test_a_time_based_profile_takes_its_time(setup):
    setup.bus.write(1, "drive_mode", 4)
    setup.hold(1)
    setup.bus.write(1, "profile_velocity", 800)
    setup.bus.write(1, "profile_acceleration", 200)
    setup.bus.write(1, "goal_position", 2648)
    setup.wait(0.2)
    assert setup.bus.read(1, "position_trajectory") == pytest.approx(2148, abs=6)  # 1000 ticks/s reached in 0.2 s
    setup.wait(0.2)
    assert setup.bus.read(1, "position_trajectory") == pytest.approx(2348, abs=8)  # half way at half time
    setup.wait(0.38)
    assert setup.bus.read(1, "position_trajectory") < 2648
    setup.wait(0.05)
    assert setup.bus.read(1, "position_trajectory") == 2648


def test_an_acceleration_makes_the_start_gentle(setup):
    setup.hold(1)
    setup.bus.write(1, "profile_velocity", 100)
    setup.bus.write(1, "profile_acceleration", 10)
    setup.bus.write(1, "goal_position", 3500)
    speeds = []
    for _ in range(6):
        setup.wait(0.05)
        speeds.append(setup.bus.read(1, "velocity_trajectory"))
    assert speeds == sorted(speeds)
    # 10 * 214.577 rev/min^2 for 0.3 s, in units of 0.229 rev/min
    assert speeds[-1] == pytest.approx(10 * 214.577 * 0.3 / 60 / 0.229, rel=0.1)


def test_without_profile_a_goal_is_jumped_to_and_a_stale_goal_too(setup):
    setup.bus.write(1, "goal_position", 3000)
    setup.wait(0.1)
    assert setup.motors.positions[0] == 0.0  # no torque yet
    setup.bus.write(1, "torque_enable", 1)
    setup.wait(0.1)
    assert setup.motors.positions[0] == pytest.approx(4.8 * 0.1, abs=0.05)


def test_torque_on_by_goal_update(setup):
    setup.bus.write(1, "drive_mode", 8)
    setup.bus.write(1, "goal_position", 2100)
    assert setup.bus.read(1, "torque_enable") == 1


# -- bus watchdog ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("resumes", [True, False])
def test_the_watchdog_stops_locks_goals_and_forgets_profiles(resumes):
    setup = Setup(arm_servos(habits=Habits(resumes_goal=resumes)))
    bus = setup.bus
    setup.hold(1)
    bus.write(1, "profile_velocity", 20)
    bus.write(1, "profile_acceleration", 5)
    bus.write(1, "bus_watchdog", 5)
    bus.write(1, "goal_position", 3500)
    for _ in range(30):
        setup.wait(0.05)
        bus.ping(5)  # any packet feeds it
    assert bus.read(1, "bus_watchdog") == 5
    setup.wait(0.3)
    stopped = setup.motors.positions[0]
    assert 0.1 < stopped < 1.5
    setup.wait(1.0)
    assert setup.motors.positions[0] == pytest.approx(stopped, abs=0.002)
    assert bus.read(1, "bus_watchdog") == -1
    assert bus.read(1, "torque_enable") == 1
    assert refusal(bus.write, 1, "goal_position", 3000) == Refusal.DATA_RANGE
    assert refusal(bus.write, 1, "bus_watchdog", 5) == Refusal.DATA_RANGE
    bus.write(1, "profile_velocity", 30)
    bus.write(1, "bus_watchdog", 0)
    assert (bus.read(1, "profile_velocity"), bus.read(1, "profile_acceleration")) == (0, 0)
    setup.wait(0.2)
    if resumes:
        assert setup.motors.positions[0] > stopped + 0.8  # towards 3500, at 4.8 rad/s
    else:
        assert setup.motors.positions[0] == pytest.approx(stopped, abs=0.002)
    bus.write(1, "goal_position", 3000)
    setup.wait(1.0)
    assert bus.read(1, "present_position") == pytest.approx(3000, abs=2)


def test_the_watchdog_sleeps_without_torque(setup):
    setup.bus.write(1, "bus_watchdog", 2)
    setup.wait(1.0)
    assert setup.bus.read(1, "bus_watchdog") == 2


# -- protection -----------------------------------------------------------------------------------------
def overload(setup, servo=1):
    joint = setup.servos[servo].joint
    setup.hold(servo)
    setup.motors.outside[joint] = 0.95
    setup.wait(2.5)
    setup.motors.outside.clear()


def test_overload_clears_torque_until_the_reboot(setup):
    bus = setup.bus
    setup.hold(1)
    setup.motors.outside[0] = 0.95
    setup.wait(1.5)
    assert bus.read(1, "hardware_error_status") == 0
    setup.wait(1.0)
    assert bus.read(1, "hardware_error_status") == HardwareError.OVERLOAD
    assert bus.alerts == {1}
    assert bus.read(1, "torque_enable") == 0
    assert refusal(bus.write, 1, "torque_enable", 1) == Refusal.RESULT
    setup.motors.outside.clear()
    setup.wait(5.0)
    assert bus.read(1, "hardware_error_status") == HardwareError.OVERLOAD  # it doesn't pass by itself
    bus.reboot(1)
    assert bus.read(1, "hardware_error_status") == 0
    assert bus.alerts == set()
    bus.write(1, "torque_enable", 1)
    assert bus.read(1, "torque_enable") == 1


def test_short_load_does_not_trip(setup):
    setup.hold(1)
    for _ in range(5):
        setup.motors.outside[0] = 0.95
        setup.wait(1.0)
        setup.motors.outside[0] = 0.3
        setup.wait(1.2)
    assert setup.bus.read(1, "hardware_error_status") == 0
    assert setup.bus.read(1, "present_current") == pytest.approx(0.3 * 2.3 / 0.00269, abs=2)


def test_overheating(setup):
    setup.hold(8)
    setup.servos[8].protection.temperature_c = 71.0
    setup.servos[8].protection.overload_s = math.inf
    setup.motors.outside[5] = 1.0
    setup.wait(5.0, step=0.5)
    assert setup.bus.read(8, "present_temperature") == 71
    assert setup.bus.read(8, "hardware_error_status") == 0
    setup.wait(35.0, step=0.5)
    assert setup.bus.read(8, "hardware_error_status") == HardwareError.OVERHEATING
    assert setup.bus.read(8, "torque_enable") == 0


def test_only_errors_in_the_shutdown_register_count(setup):
    setup.virtual.supply_v = 9.0
    setup.wait(0.1)
    assert setup.bus.read(1, "present_input_voltage") == 90
    assert setup.bus.read(1, "hardware_error_status") == 0  # voltage isn't in it by default
    setup.bus.write(1, "shutdown", 53)
    setup.wait(0.1)
    assert setup.bus.read(1, "hardware_error_status") == HardwareError.VOLTAGE


def test_a_brown_out_forgets_ram(setup):
    bus = setup.bus
    setup.hold(*IDS)
    for servo in IDS:
        bus.write(servo, "profile_velocity", 50)
        bus.write(servo, "bus_watchdog", 100)
    tick = bus.read(1, "realtime_tick")
    setup.virtual.supply_v = 4.0
    setup.wait(0.05)
    with pytest.raises(ServoTimeoutError):
        bus.ping(1)
    setup.virtual.supply_v = 12.0
    setup.wait(0.3)
    for servo in IDS:
        names = ("torque_enable", "profile_velocity", "bus_watchdog", "hardware_error_status")
        assert [bus.read(servo, name) for name in names] == [0, 0, 0, 0]
        assert bus.read(servo, "velocity_limit") == 131  # EEPROM stays
    assert bus.read(1, "realtime_tick") != tick
    assert setup.servos[1].memory.get("realtime_tick") < 1000


def test_a_reboot_takes_a_while_and_forgets_ram(setup):
    setup.hold(1)
    setup.bus.write(1, "led", 1)
    before = setup.time.now_ns()
    setup.bus.reboot(1)
    assert setup.time.now_ns() - before > 0.19e9
    assert setup.bus.read(1, "torque_enable") == 0
    assert setup.bus.read(1, "led") == 0
    setup.servos[2]._boot_ns = 10_000_000_000
    with pytest.raises(ServoTimeoutError):
        setup.bus.reboot(2, back_within_s=0.5)


def test_a_reboot_whose_acknowledgement_is_lost_still_counts(setup):
    setup.hold(1)
    setup.virtual.faults.dropped = 1.0
    setup.virtual.receive(messages.reboot(1), setup.time.now_ns())
    setup.virtual.faults.dropped = 0.0
    setup.bus.reboot(1)
    assert setup.bus.read(1, "torque_enable") == 0


def test_small_servos_have_their_own_layout():
    setup = Setup([VirtualServo(11, XL330_M288, 0), VirtualServo(12, XL330_M288, 1)])
    assert setup.bus.read_bytes(11, 168, 2) == (208).to_bytes(2, "little")
    setup.bus.write_bytes(11, 168, (65).to_bytes(2, "little"))
    setup.bus.write_bytes(11, 208, b"\x01")
    assert setup.bus.read(11, "led") == 1
    assert setup.bus.read(12, "led") == 0
