"""The arms as data, the servos' settings, and what is refused at the start."""

import numpy as np
import pytest
from helpers.widowx_setup import Rig

from drivers.dynamixel.registers import RAD_PER_TICK, rad_to_ticks
from drivers.dynamixel.servo_map import SERVO_MAPS, VX300S, WX200, WX250, WX250S, servo_map
from drivers.dynamixel.tables import XL430_W250
from drivers.errors import ServoTimeoutError, TorqueOnError
from drivers.widowx import eeprom, startup
from drivers.widowx.settings import ArmSettings, GripperSettings, GuardLimits
from robot.control.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER, Kinematics
from robot.control.pose import Pose
from robot.control.poses import NEUTRAL_JOINTS, SLEEP_JOINTS
from sim.virtual.servo import VirtualServo
from trajectories.errors import ConfigError, DeviceError, KinematicsError


def test_the_widowx_agrees_with_the_kinematics():
    assert WX250S.joints == JOINT_NAMES
    assert WX250S.sleep == SLEEP_JOINTS
    np.testing.assert_allclose(WX250S.lower, JOINT_LOWER, atol=0.002)
    np.testing.assert_allclose(WX250S.upper, JOINT_UPPER, atol=0.002)


@pytest.mark.parametrize("model", SERVO_MAPS.values(), ids=lambda m: m.name)
def test_tables_are_complete_and_consistent(model):
    assert len(set(model.servos)) == len(model.places)
    assert [place.name for place in model.leaders] == [*model.joints, "gripper"]
    for shadow in (place for place in model.places if place.is_shadow):
        leader = model.place(shadow.secondary_id)
        assert leader.joint == shadow.joint
        assert leader.drive_mode != shadow.drive_mode
        assert (leader.min_position, leader.max_position) == (shadow.min_position, shadow.max_position)
    assert all(low < s < high for low, s, high in zip(model.lower, model.sleep, model.upper, strict=True))
    wide = model.linkage.largest_width
    for width in np.linspace(0, wide, 20):
        assert model.linkage.width(model.linkage.angle(width)) == pytest.approx(width, abs=1e-12)


def test_the_gripper_of_the_widowx_by_known_ticks():
    linkage = WX250S.linkage
    assert [rad_to_ticks(linkage.angle(2 * (x - 0.015))) for x in (0.015, 0.021, 0.035, 0.037)] == [
        pytest.approx(t, abs=2) for t in (1802, 2116, 2726, 2875)
    ]


def test_arms_by_name():
    assert servo_map("vx300s") is VX300S
    with pytest.raises(ConfigError, match="wx250s, wx250, wx200, vx300s"):
        servo_map("px100")


@pytest.mark.parametrize("model", SERVO_MAPS.values(), ids=lambda m: m.name)
def test_servos_and_joints_agree_on_limits_and_gripper(model):
    np.testing.assert_allclose(model.lower, model.model.lower, atol=0.002)
    np.testing.assert_allclose(model.upper, model.model.upper, atol=0.002)
    assert model.linkage.largest_width == pytest.approx(model.model.opening)
    assert model.linkage.closed == model.model.finger_closed
    assert model.joint_name(model.gripper.joint) == "gripper"
    assert model.gripper.joint == len(model.joints)


@pytest.mark.parametrize("model", [WX250, WX200], ids=lambda m: m.name)
def test_arms_of_five_joints_move_with_the_same_code(model):
    rig = Rig(model=model, pose=(0.1, -0.5, 0.4, 0.5, 0.0))
    rig.arm()
    rig.drive((0.2, -0.4, 0.3, 0.6, 0.1), 0.03)
    np.testing.assert_allclose(rig.joints, (0.2, -0.4, 0.3, 0.6, 0.1), atol=0.002)
    assert rig._arm.read().gripper_width == pytest.approx(0.03, abs=0.001)
    assert rig._arm.read().efforts.shape == (5,)


@pytest.mark.parametrize("model", [WX250, WX200], ids=lambda m: m.name)
def test_five_joint_arms_can_be_checked(model):
    bus = Rig(model=model).bus()
    startup.verify_servos(bus, model)
    startup.verify_settings(bus, model)
    assert eeprom.pair_differences(bus, model) == {}


def test_the_viper_moves_with_the_same_code():
    rig = Rig(model=VX300S, pose=(0.1, -0.5, 0.4, 0, 0.5, 0))
    rig.arm()
    rig.drive((0.2, -0.4, 0.3, 0.1, 0.6, 0.1), 0.05)
    np.testing.assert_allclose(rig.joints, (0.2, -0.4, 0.3, 0.1, 0.6, 0.1), atol=0.002)
    assert rig._arm.read().gripper_width == pytest.approx(0.05, abs=0.001)


def test_the_way_to_sleep_never_dips():
    kinematics, rng = Kinematics(), np.random.default_rng(0)
    sleep = np.array(WX250S.sleep)
    lowest_end = kinematics.forward(sleep).position[2]
    for _ in range(60):
        position = rng.uniform((0.18, -0.2, 0.012), (0.38, 0.2, 0.18))
        rpy = rng.uniform((-0.15, -0.15, -1.2), (0.15, 0.15, 1.2))
        try:
            start = kinematics.inverse(Pose.of(position, rpy), np.array(NEUTRAL_JOINTS))
        except KinematicsError:
            continue
        for part in np.linspace(0, 1, 25):
            height = kinematics.forward(start + part * (sleep - start)).position[2]
            assert height >= min(position[2], lowest_end) - 0.002


# -- what the servos keep -------------------------------------------------------------------------------
def test_differences_are_listed_with_what_to_do_and_nothing_is_written():
    rig = Rig()
    rig.servos[7].memory.set("drive_mode", 5)
    rig.servos[9].memory.set("operating_mode", 16)
    rig.servos[2].memory.set("max_position_limit", 3000)
    with pytest.raises(ConfigError) as caught:
        rig.arm()
    text = str(caught.value)
    assert "3 places" in text
    assert "servo 7 (wrist_angle): drive_mode is 5, expected 1 (bit 0 is the direction; bit 2" in text
    assert "servo 9 (gripper): operating_mode is 16, expected 3" in text
    assert "servo 2 (shoulder): max_position_limit is 3000, expected 3345" in text
    assert "write_settings" in text
    assert rig.get(7, "drive_mode") == 5
    assert not any(rig.torques.values())


def test_settings_are_written_only_on_a_persons_word_and_without_torque():
    rig = Rig()
    rig.servos[3].memory.set("shutdown", 4)
    bus = rig.bus()
    startup.verify_servos(bus, WX250S)
    with pytest.raises(ConfigError, match="person's name"):
        eeprom.write_settings(bus, WX250S, " ")
    bus.write(1, "torque_enable", 1)
    with pytest.raises(TorqueOnError, match=r"\[1\]"):
        eeprom.write_settings(bus, WX250S, "Ada")
    assert rig.servos[1].torque  # never switched off by itself
    assert rig.get(3, "shutdown") == 4
    bus.write(1, "torque_enable", 0)
    assert [(d.servo, d.register) for d in eeprom.write_settings(bus, WX250S, "Ada")] == [(3, "shutdown")]
    assert rig.get(3, "shutdown") == 52
    startup.verify_settings(bus, WX250S)


def test_writing_settings_leaves_calibrated_homing_offsets_alone():
    rig = Rig()
    calibrated = {1: 17, 2: -40, 3: -38, 6: 5, 9: 12}
    for servo, ticks in calibrated.items():
        rig.servos[servo].memory.set("homing_offset", ticks)
    rig.servos[7].memory.set("drive_mode", 5)
    bus = rig.bus()
    startup.verify_servos(bus, WX250S)
    with pytest.raises(
        ConfigError, match=r"(?s)homing_offset is 17.*Homing offsets are this arm's calibration"
    ) as caught:
        startup.verify_settings(bus, WX250S)
    assert "leaves homing offsets alone" in str(caught.value)
    assert [(d.servo, d.register) for d in eeprom.write_settings(bus, WX250S, "Ada")] == [(7, "drive_mode")]
    assert {servo: rig.get(servo, "homing_offset") for servo in calibrated} == calibrated
    with pytest.raises(ConfigError, match="has 6 joints, got 2 homing offsets"):
        eeprom.write_settings(bus, WX250S, "Ada", offsets=(0.0, 0.0))
    offsets = [17 * RAD_PER_TICK, -40 * RAD_PER_TICK, 0.0, 0.0, 0.0, 0.0]
    changed = eeprom.write_settings(bus, WX250S, "Ada", offsets=offsets)  # as a file says that a person trusts
    assert [(d.servo, d.expected) for d in changed] == [(6, 0), (9, 0)]
    assert rig.get(3, "homing_offset") == -38


def test_a_shadow_that_reads_otherwise_is_found_and_calibrated():
    rig = Rig()
    rig.servos[5].memory.set("homing_offset", 100)
    rig.wait(0.02)
    arm = rig.arm()
    assert "Servo 5 (elbow_shadow, joint elbow) by +0.15" in arm.fault
    assert not any(rig.torques.values())
    bus = rig.bus()
    startup.verify_servos(bus, WX250S)
    assert set(eeprom.pair_differences(bus, WX250S)) == {5}
    assert abs(eeprom.calibrate_shadows(bus, WX250S, "Ada")[5]) <= 2
    assert rig.arm().fault is None


def test_missing_and_wrong_servos_are_named():
    rig = Rig()
    rig.virtual.faults.dead = {4, 7}
    with pytest.raises(ServoTimeoutError, match="4, 7"):
        rig.arm()
    rig = Rig()
    rig.virtual.servos[6] = VirtualServo(6, XL430_W250, 3)
    with pytest.raises(DeviceError, match=r"Servo 6 \(forearm_roll\) is a XL430-W250, expected XM430-W350"):
        rig.arm()
    rig = Rig()
    rig.servos[1].memory.set("firmware_version", 37)
    with pytest.raises(DeviceError, match="firmware 37"):
        rig.arm()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ArmSettings(rate_hz=10), "rate_hz"),
        (lambda: ArmSettings(profile_velocity=0), "unlimited"),
        (lambda: ArmSettings(watchdog_units=128), "watchdog_units"),
        (lambda: ArmSettings(on_close="drop"), "on_close"),
        (lambda: ArmSettings(hold_lag=0), "hold_lag"),
        (lambda: GripperSettings(hold_pwm=400), "hold_pwm"),
        (lambda: GripperSettings(contact_load=1.0), "contact_load"),
        (lambda: GuardLimits(load_levels=()), "load_levels"),
        (lambda: GuardLimits(lowest_v=15.0), "lowest_v"),
        (lambda: GuardLimits(missing_s=0.0), "missing_s"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, word):
    with pytest.raises(ConfigError, match=word):
        make()
