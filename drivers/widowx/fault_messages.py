"""Name a servo, and say what a person should do about its fault."""

from __future__ import annotations

from drivers.dynamixel.replies import HardwareError
from drivers.dynamixel.servo_map import ServoMap

_CLEAR = "then clear('your name')"
_REBOOT = "which restarts the servos of this joint (they are free for a moment)"
ADVICE = {
    HardwareError.OVERLOAD: "The joint has no torque. Support the arm, take away what it pushes or lifts, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.OVERHEATING: "The joint has no torque. Support the arm, let the servo cool for some minutes, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.SHOCK: "The joint has no torque. Support the arm, check the power supply and the cables for a short "
    f"circuit, {_CLEAR}, {_REBOOT}.",
    HardwareError.VOLTAGE: f"Check the power supply (12 V) and its plugs, {_CLEAR}.",
    HardwareError.ENCODER: "The servo doesn't know its position any more: replace it.",
}


def servo_title(model: ServoMap, servo: int) -> str:
    """E.g. "Servo 3 (shoulder_shadow, joint shoulder)"."""
    place = model.place(servo)
    joint = model.joint_name(place.joint)
    return f"Servo {servo} ({place.name}{'' if place.name == joint else f', joint {joint}'})"
