"""Register units and SI units (ROBOTIS-GIT/emanual `docs/en/dxl/x/xm430-w350.md`)."""

from __future__ import annotations

import math

TICKS_PER_TURN = 4096
CENTRE_TICKS = 2048
RAD_PER_TICK = 2 * math.pi / TICKS_PER_TURN
VELOCITY_UNIT_RAD_S = 0.229 * 2 * math.pi / 60
ACCELERATION_UNIT_RAD_S2 = 214.577 * 2 * math.pi / 3600
"""214.577 rev/min^2."""
VOLT_UNIT = 0.1
LOAD_UNIT = 0.001
WATCHDOG_UNIT_S = 0.02
RETURN_DELAY_UNIT_S = 2e-6
LARGEST_PWM = 885
TICK_WRAP_MS = 32_768
"""The realtime tick counts 0 ... 32,767 ms."""
BAUD_RATES = {0: 9600, 1: 57_600, 2: 115_200, 3: 1_000_000, 4: 2_000_000, 5: 3_000_000, 6: 4_000_000, 7: 4_500_000}
"""Value of the baud rate register -> bits per second."""


def ticks_to_rad(ticks: float) -> float:
    """Angle of a position register; 2048 is 0 rad."""
    return (ticks - CENTRE_TICKS) * RAD_PER_TICK


def rad_to_ticks(angle: float) -> int:
    """Nearest position register of an angle in rad."""
    return CENTRE_TICKS + round(angle / RAD_PER_TICK)


def velocity_to_rad_s(units: float) -> float:
    """Velocity registers, 0.229 rev/min a unit."""
    return units * VELOCITY_UNIT_RAD_S


def rad_s_to_velocity(speed: float) -> int:
    """Nearest velocity register of a speed in rad/s."""
    return round(speed / VELOCITY_UNIT_RAD_S)


def acceleration_to_rad_s2(units: float) -> float:
    """Profile acceleration, 214.577 rev/min^2 a unit."""
    return units * ACCELERATION_UNIT_RAD_S2


def elapsed_ms(earlier: int, later: int) -> int:
    """Milliseconds between two realtime ticks, which wrap; right below 32 s."""
    return (later - earlier) % TICK_WRAP_MS
