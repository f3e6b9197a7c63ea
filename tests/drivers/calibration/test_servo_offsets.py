"""Homing offsets on virtual servos: what is reported afterwards, and that nothing is left half done."""

import numpy as np
import pytest

from drivers.calibration.servo_offsets import whole_ticks, write_joint_offsets
from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import RAD_PER_TICK, ticks_to_rad
from drivers.dynamixel.servo_map import WX250S
from drivers.errors import TorqueOnError
from drivers.widowx import eeprom
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.motors import FirstOrderMotors
from trajectories.errors import ConfigError, DeviceError

POSE = (0.2, -0.76, 0.44, -0.1, 1.2, 0.3)
OFFSETS = (0.0, 0.031, -0.02, 0.04, -0.03, 0.0)


@pytest.fixture
def motors():
    return FirstOrderMotors((*POSE, 0.5), 0)


@pytest.fixture
def virtual(motors):
    return VirtualBus(arm_servos(WX250S), motors, now_ns=0)


@pytest.fixture
def bus(virtual):
    time = VirtualTime(0)
    bus = DynamixelBus(lambda: LoopbackPort(virtual, time), clock=time.now_ns, latency_s=0.002, return_delay_s=0.0)
    bus.identify(WX250S.servos)
    return bus


def reported(bus):
    positions = bus.sync_read(WX250S.servos, "present_position")
    return [ticks_to_rad(positions[place.servo]) for place in WX250S.leaders[:-1]]


def test_every_joint_reports_its_correction_and_pairs_go_on_agreeing(bus, virtual):
    before = np.array(reported(bus))
    written = write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    assert set(written) == {2, 3, 4, 5, 6, 7}  # the shadows 3 and 5 as well
    assert written[2] == written[3] == round(0.031 / RAD_PER_TICK)
    np.testing.assert_allclose(reported(bus) - before, OFFSETS, atol=RAD_PER_TICK)
    assert eeprom.pair_differences(bus, WX250S) == {}
    assert not any(servo.torque for servo in virtual.servos.values())


def test_the_driver_expects_what_was_calibrated_and_nothing_else(bus):
    write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    assert eeprom.differences(bus, WX250S, OFFSETS) == []
    assert {d.servo for d in eeprom.differences(bus, WX250S)} == {2, 4, 6, 7}


def test_corrections_add_up(bus):
    before = np.array(reported(bus))
    write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    np.testing.assert_allclose(reported(bus) - before, np.multiply(2, OFFSETS), atol=2 * RAD_PER_TICK)


def test_what_is_written_is_a_whole_number_of_ticks():
    assert whole_ticks((0.002, -0.0005)) == pytest.approx((RAD_PER_TICK, 0.0))


@pytest.mark.parametrize(
    ("offsets", "person", "message"),
    [
        (OFFSETS, " ", "name"),
        ((0.0,) * 5, "Ada", "6 joints"),
        ((0.0, 1.6, 0.0, 0.0, 0.0, 0.0), "Ada", "1024 count"),
    ],
)
def test_nothing_is_written_without_a_good_reason(bus, virtual, offsets, person, message):
    with pytest.raises(ConfigError, match=message):
        write_joint_offsets(bus, WX250S, offsets, person)
    assert all(servo.memory.get("homing_offset") == 0 for servo in virtual.servos.values())


def test_holding_servos_are_left_alone(bus, virtual):
    bus.write(6, "torque_enable", 1)
    with pytest.raises(TorqueOnError, match=r"\[6\]"):
        write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    assert all(servo.memory.get("homing_offset") == 0 for servo in virtual.servos.values())


def test_a_servo_that_does_not_follow_puts_all_back(bus, virtual, motors, monkeypatch):
    """A joint that moves during the write looks the same as an offset that didn't take."""
    write = bus.write

    def moves_meanwhile(servo, name, value):
        write(servo, name, value)
        if servo == 6 and value != 0:
            motors.positions[3] += 0.2

    monkeypatch.setattr(bus, "write", moves_meanwhile)
    with pytest.raises(DeviceError, match=r"Servo 6 \(forearm_roll\)"):
        write_joint_offsets(bus, WX250S, OFFSETS, "Ada")
    assert all(servo.memory.get("homing_offset") == 0 for servo in virtual.servos.values())
