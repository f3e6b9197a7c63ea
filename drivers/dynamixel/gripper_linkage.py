"""Crank and rods between the gripper's servo and its fingers on the WidowX 250 S.

A finger at x (m, as in the URDF) belongs to the crank angle theta = pi/2 - acos((r^2 + x^2 - a^2) / (2 r x)), with
x = r sin(theta) + sqrt(a^2 - r^2 cos^2(theta)). Source: Interbotix/interbotix_xs_driver `src/xs_driver.cpp`.
"""

from __future__ import annotations

import math

from trajectories.errors import ConfigError

CRANK_M = 0.014
ROD_M = 0.024
FINGER_CLOSED_M = 0.015
FINGER_OPEN_M = 0.037
LARGEST_WIDTH_M = 2 * (FINGER_OPEN_M - FINGER_CLOSED_M)


def width_to_angle(width: float) -> float:
    """Crank angle, rad, of a gap between the fingers.

    Args:
        width: 0 (touching) ... 0.044 m (open).

    Raises:
        ConfigError: When the fingers can't be there.
    """
    if not -1e-9 <= width <= LARGEST_WIDTH_M + 1e-9:
        raise ConfigError(f"The gripper's width must be 0 ... {LARGEST_WIDTH_M:.3f} m, got {width!r}.")
    x = FINGER_CLOSED_M + 0.5 * width
    return math.pi / 2 - math.acos((CRANK_M**2 + x**2 - ROD_M**2) / (2 * CRANK_M * x))


def angle_to_width(angle: float) -> float:
    """Gap between the fingers, m, of a crank angle in rad; beyond the stops it goes on as the geometry says."""
    x = CRANK_M * math.sin(angle) + math.sqrt(ROD_M**2 - (CRANK_M * math.cos(angle)) ** 2)
    return 2 * (x - FINGER_CLOSED_M)


def width_per_rad(angle: float) -> float:
    """Derivative of `angle_to_width`, m/rad: turns crank speed into finger speed, finger force into torque."""
    root = math.sqrt(ROD_M**2 - (CRANK_M * math.cos(angle)) ** 2)
    return 2 * (CRANK_M * math.cos(angle) + CRANK_M**2 * math.cos(angle) * math.sin(angle) / root)
