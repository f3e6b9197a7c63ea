"""Control tables of the X series.

Source: ROBOTIS-GIT/emanual `docs/en/dxl/x/{xm430-w350,xl430-w250,xm540-w270,xc430-w150,xc430-w240,xl330-m288,
xl330-m077}.md`, fast sync read's firmware from `docs/en/dxl/protocol2.md` (X430/X540 45, X330 46; not the double
servos 2XL/2XC). Old pages of the XM430-W350 give an initial velocity limit of 350 instead of 200, so that initial
values are for simulation only: a driver reads what it needs. Stall currents are those of the pages' specifications at
the recommended voltage; those of XC430 and XL330 are unconfirmed (simulation only).
"""

from __future__ import annotations

from drivers.dynamixel.registers import ControlTable, Register, table_of
from trajectories.errors import ConfigError

_TURNS = 1_048_575
_TIME = 32_767
_GAIN = 16_383


def _common() -> list[Register]:
    """What all of the X series share."""
    r = Register
    return [
        r("model_number", 0, 2, False),
        r("model_information", 2, 4, False),
        r("firmware_version", 6, 1, False, 45),
        r("id", 7, 1, True, 1, 0, 252),
        r("baud_rate", 8, 1, True, 1, 0, 7),
        r("return_delay_time", 9, 1, True, 250, 0, 254),
        r("drive_mode", 10, 1, True, 0, 0, 13),
        r("operating_mode", 11, 1, True, 3, 0, 16),
        r("secondary_id", 12, 1, True, 255, 0, 255),
        r("protocol_type", 13, 1, True, 2, 1, 2),
        r("homing_offset", 20, 4, True, 0, -1_044_479, 1_044_479),
        r("moving_threshold", 24, 4, True, 10, 0, 1023),
        r("pwm_limit", 36, 2, True, 885, 0, 885),
        r("max_position_limit", 48, 4, True, 4095, 0, 4095),
        r("min_position_limit", 52, 4, True, 0, 0, 4095),
        r("torque_enable", 64, 1, True, 0, 0, 1),
        r("led", 65, 1, True, 0, 0, 1),
        r("status_return_level", 68, 1, True, 2, 0, 2),
        r("registered_instruction", 69, 1, False),
        r("hardware_error_status", 70, 1, False),
        r("velocity_i_gain", 76, 2, True, 1920, 0, _GAIN),
        r("velocity_p_gain", 78, 2, True, 100, 0, _GAIN),
        r("position_d_gain", 80, 2, True, 0, 0, _GAIN),
        r("position_i_gain", 82, 2, True, 0, 0, _GAIN),
        r("position_p_gain", 84, 2, True, 800, 0, _GAIN),
        r("feedforward_2nd_gain", 88, 2, True, 0, 0, _GAIN),
        r("feedforward_1st_gain", 90, 2, True, 0, 0, _GAIN),
        r("bus_watchdog", 98, 1, True, 0, -1, 127),
        r("goal_pwm", 100, 2, True, 885, -885, 885),
        r("goal_velocity", 104, 4, True, 0, -2047, 2047),
        r("profile_acceleration", 108, 4, True, 0, 0, _TIME),
        r("profile_velocity", 112, 4, True, 0, 0, _TIME),
        r("goal_position", 116, 4, True, 0, -_TURNS, _TURNS),
        r("realtime_tick", 120, 2, False),
        r("moving", 122, 1, False),
        r("moving_status", 123, 1, False),
        r("present_pwm", 124, 2, False, 0, -885, 885),
        r("present_velocity", 128, 4, False, 0, -_TIME, _TIME),
        r("present_position", 132, 4, False, 0, -(2**31), 2**31 - 1),
        r("velocity_trajectory", 136, 4, False, 0, -_TIME, _TIME),
        r("position_trajectory", 140, 4, False, 0, -(2**31), 2**31 - 1),
        r("present_input_voltage", 144, 2, False),
        r("present_temperature", 146, 1, False),
    ]


def _current(limit: int) -> list[Register]:
    """Registers of models that measure current."""
    return [
        Register("current_limit", 38, 2, True, limit, 0, limit),
        Register("goal_current", 102, 2, True, limit, -limit, limit),
        Register("present_current", 126, 2, False, 0, -(2**15), 2**15 - 1),
    ]


_LOAD = [Register("present_load", 126, 2, False, 0, -1000, 1000)]
_STARTUP = [
    Register("startup_configuration", 60, 1, True, 0, 0, 3),
    Register("backup_ready", 147, 1, False),
]


def _limits(temperature: int, volts: tuple[int, int, int, int], velocity: int, shutdown: int = 52) -> list[Register]:
    """Temperature (C), voltage (max, min, lowest, highest in 0.1 V), velocity (0.229 rpm) and shutdown mask."""
    highest, lowest, low, high = volts
    return [
        Register("temperature_limit", 31, 1, True, temperature, 0, 100),
        Register("max_voltage_limit", 32, 2, True, highest, low, high),
        Register("min_voltage_limit", 34, 2, True, lowest, low, high),
        Register("velocity_limit", 44, 4, True, velocity, 0, 2047),
        Register("shutdown", 63, 1, True, shutdown, 0, 63),
    ]


def _model(
    model: str,
    number: int,
    extra: list[Register],
    *,
    current_unit_a: float | None,
    stall_current_a: float,
    modes: tuple[int, ...],
    small: bool = False,
) -> ControlTable:
    return ControlTable(
        model=model,
        number=number,
        registers=table_of([*_common(), *extra]),
        current_unit_a=current_unit_a,
        stall_current_a=stall_current_a,
        modes=modes,
        indirect_address=168,
        indirect_data=208 if small else 224,
        indirect_count=20 if small else 28,
        fast_firmware=46 if small else 45,
    )


_ALL_MODES = (0, 1, 3, 4, 5, 16)
_NO_CURRENT_MODES = (1, 3, 4, 16)
_X330_VOLTS = (70, 35, 31, 70)
_XM_VOLTS = (160, 95, 95, 160)
_XC_VOLTS = (160, 60, 60, 160)

XM430_W350 = _model(
    "XM430-W350",
    1020,
    [*_current(1193), *_limits(80, _XM_VOLTS, 200)],
    current_unit_a=0.00269,
    stall_current_a=2.3,
    modes=_ALL_MODES,
)
XM540_W270 = _model(
    "XM540-W270",
    1120,
    [
        *_current(2047),
        *_limits(80, _XM_VOLTS, 128),
        *(Register(f"external_port_mode_{i}", 55 + i, 1, True, 3, 0, 3) for i in (1, 2, 3)),
        *(Register(f"external_port_data_{i}", 150 + 2 * i, 2, True, 0, 0, 4095) for i in (1, 2, 3)),
    ],
    current_unit_a=0.00269,
    stall_current_a=4.4,
    modes=_ALL_MODES,
)
XL430_W250 = _model(
    "XL430-W250",
    1060,
    [*_LOAD, *_STARTUP, *_limits(72, (140, 60, 60, 140), 265)],
    current_unit_a=None,
    stall_current_a=1.3,
    modes=_NO_CURRENT_MODES,
)
XC430_W150 = _model(
    "XC430-W150",
    1070,
    [*_LOAD, *_STARTUP, *_limits(80, _XC_VOLTS, 460)],
    current_unit_a=None,
    stall_current_a=1.4,
    modes=_NO_CURRENT_MODES,
)
XC430_W240 = _model(
    "XC430-W240",
    1080,
    [*_LOAD, *_STARTUP, *_limits(80, _XC_VOLTS, 306)],
    current_unit_a=None,
    stall_current_a=1.4,
    modes=_NO_CURRENT_MODES,
)
XL330_M288 = _model(
    "XL330-M288",
    1200,
    [*_current(1750), *_STARTUP, *_limits(70, _X330_VOLTS, 445, 53), Register("pwm_slope", 62, 1, True, 140, 1, 255)],
    current_unit_a=0.001,
    stall_current_a=1.47,
    modes=_ALL_MODES,
    small=True,
)
XL330_M077 = _model(
    "XL330-M077",
    1190,
    [*_current(1750), *_STARTUP, *_limits(70, _X330_VOLTS, 1620, 53), Register("pwm_slope", 62, 1, True, 140, 1, 255)],
    current_unit_a=0.001,
    stall_current_a=1.47,
    modes=_ALL_MODES,
    small=True,
)

TABLES = {
    table.number: table
    for table in (XM430_W350, XM540_W270, XL430_W250, XC430_W150, XC430_W240, XL330_M288, XL330_M077)
}


def table_for(number: int) -> ControlTable:
    """The table of a model number.

    Raises:
        ConfigError: When the model isn't known here.
    """
    try:
        return TABLES[number]
    except KeyError:
        known = ", ".join(f"{table.model} ({n})" for n, table in sorted(TABLES.items()))
        raise ConfigError(f"Servo model {number} isn't in the tables; known are {known}.") from None
