"""Interim names of `drivers.dynamixel.servo_map`."""

from drivers.dynamixel.servo_map import (  # noqa: F401
    BUS_BAUD,
    NO_SECONDARY,
    REVERSE,
    VELOCITY_LIMIT,
    WX250S,
    ServoPlace,
)

WIDOWX_250S = WX250S.places
