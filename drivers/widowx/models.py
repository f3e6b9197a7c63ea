"""Interim names of `drivers.dynamixel.servo_map`."""

from drivers.dynamixel.servo_map import (  # noqa: F401
    SERVO_MAPS as MODELS,
    VX300S,
    WX200,
    WX250,
    WX250S,
    ServoMap as ArmModel,
    servo_map as model_named,
    stall_torque,
)
