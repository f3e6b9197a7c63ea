"""Control tables, units and the gripper's linkage against numbers of the manuals."""

import math

import pytest

from drivers.dynamixel import registers
from drivers.dynamixel.servo_map import WIDOWX_LINKAGE, WX250S
from drivers.dynamixel.tables import TABLES, XL330_M288, XL430_W250, XM430_W350, table_for
from drivers.errors import PacketError
from trajectories.errors import ConfigError

ADDRESSES = {
    "model_number": (0, 2), "id": (7, 1), "drive_mode": (10, 1), "secondary_id": (12, 1), "homing_offset": (20, 4),
    "temperature_limit": (31, 1), "max_voltage_limit": (32, 2), "velocity_limit": (44, 4),
    "max_position_limit": (48, 4), "min_position_limit": (52, 4), "shutdown": (63, 1), "torque_enable": (64, 1),
    "status_return_level": (68, 1), "hardware_error_status": (70, 1), "position_p_gain": (84, 2),
    "bus_watchdog": (98, 1), "goal_pwm": (100, 2), "goal_velocity": (104, 4), "profile_acceleration": (108, 4),
    "profile_velocity": (112, 4), "goal_position": (116, 4), "realtime_tick": (120, 2), "moving": (122, 1),
    "present_pwm": (124, 2), "present_velocity": (128, 4), "present_position": (132, 4),
    "present_input_voltage": (144, 2), "present_temperature": (146, 1),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.model)
def test_registers_are_where_the_manual_has_them(table):
    for name, place in ADDRESSES.items():
        assert (table[name].address, table[name].size) == place, name
    ends = 0
    for register in table.registers.values():
        assert register.address >= ends, register.name
        ends = register.address + register.size
        register.encode(register.initial)
        assert register.low <= register.initial <= register.high or not register.writable, register.name
    assert ends <= table.indirect_address


def test_models_differ_where_they_should():
    assert {n: t.model for n, t in TABLES.items()} == {
        1020: "XM430-W350", 1120: "XM540-W270", 1060: "XL430-W250", 1070: "XC430-W150", 1080: "XC430-W240",
        1200: "XL330-M288", 1190: "XL330-M077",
    }  # fmt: skip
    assert "present_current" in XM430_W350
    assert "present_current" not in XL430_W250
    assert XL430_W250["present_load"].address == XM430_W350["present_current"].address == 126
    assert (XL330_M288.indirect_address, XL330_M288.indirect_data, XL330_M288.indirect_count) == (168, 208, 20)
    assert (XM430_W350.indirect_address, XM430_W350.indirect_data, XM430_W350.indirect_count) == (168, 224, 28)
    assert 0 not in XL430_W250.modes
    assert 5 not in XL430_W250.modes
    with pytest.raises(ConfigError, match=r"4242.*XM430-W350 \(1020\)"):
        table_for(4242)
    with pytest.raises(ConfigError, match="present_current"):
        XL430_W250["present_current"]


def test_register_bytes():
    goal = XM430_W350["goal_position"]
    assert goal.encode(-1) == b"\xff\xff\xff\xff"
    assert goal.decode(b"\x00\x08\x00\x00") == 2048
    assert XM430_W350["bus_watchdog"].decode(b"\xff") == -1
    assert XM430_W350["present_input_voltage"].decode(b"\xff\xff") == 65535
    with pytest.raises(PacketError, match="4 bytes; the servo sent 3"):
        goal.decode(b"abc")
    with pytest.raises(PacketError, match="torque_enable"):
        XM430_W350["torque_enable"].encode(256)


def test_units():
    assert registers.ticks_to_rad(2048) == 0.0
    assert registers.ticks_to_rad(0) == pytest.approx(-math.pi)
    assert registers.rad_to_ticks(math.pi / 2) == 3072
    assert all(registers.rad_to_ticks(registers.ticks_to_rad(ticks)) == ticks for ticks in range(-5000, 9000, 7))
    assert pytest.approx(3.14, abs=0.005) == 131 * registers.VELOCITY_UNIT_RAD_S
    assert registers.rad_s_to_velocity(-57 * registers.VELOCITY_UNIT_RAD_S) == -57
    assert pytest.approx(214.577 / 60 * 2 * math.pi / 60) == registers.ACCELERATION_UNIT_RAD_S2


@pytest.mark.parametrize(("finger", "ticks"), [(0.015, 1802), (0.021, 2116), (0.035, 2726), (0.037, 2875)])
def test_gripper_linkage_as_interbotix_gives_it(finger, ticks):
    assert registers.rad_to_ticks(WIDOWX_LINKAGE.angle(2 * (finger - 0.015))) == ticks


def test_gripper_linkage_is_invertible_and_its_derivative_right():
    for step in range(45):
        width = WIDOWX_LINKAGE.largest_width * step / 44
        angle = WIDOWX_LINKAGE.angle(width)
        assert WIDOWX_LINKAGE.width(angle) == pytest.approx(width, abs=1e-12)
        slope = (WIDOWX_LINKAGE.width(angle + 1e-6) - WIDOWX_LINKAGE.width(angle - 1e-6)) / 2e-6
        assert WIDOWX_LINKAGE.width_per_rad(angle) == pytest.approx(slope, rel=1e-6)
    with pytest.raises(ConfigError, match=r"0\.044"):
        WIDOWX_LINKAGE.angle(0.05)


def test_the_arms_servos():
    assert [place.servo for place in WX250S.places] == list(range(1, 10))
    assert {place.servo: place.secondary_id for place in WX250S.places if place.is_shadow} == {3: 2, 5: 4}
    assert [place.servo for place in WX250S.places if place.drive_mode] == [3, 5, 7]
    assert [place.table.model for place in WX250S.places] == ["XM430-W350"] * 7 + ["XL430-W250"] * 2
    degrees = {place.name: math.degrees(registers.ticks_to_rad(place.min_position)) for place in WX250S.places}
    assert degrees["shoulder"] == pytest.approx(-108, abs=0.1)
    assert degrees["elbow"] == pytest.approx(-123, abs=0.1)
    assert degrees["wrist_angle"] == pytest.approx(-100, abs=0.1)
