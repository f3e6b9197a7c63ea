"""Write joint offsets into the servos' homing offsets, so that every program reads the same angles.

A file that each program had to apply would be forgotten by one of them, and the servos' own position limits would stay
shifted. The price: a tick (0.0015 rad) of rounding, and EEPROM, which is written only with the torque off. In position
mode a servo ignores homing offsets beyond 1024 ticks (ROBOTIS-GIT/emanual `docs/en/dxl/x/xm430-w350.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import RAD_PER_TICK
from drivers.dynamixel.servo_map import ServoMap
from drivers.errors import TorqueOnError
from trajectories.errors import ConfigError, DeviceError

LARGEST_HOMING_TICKS = 1024
_UPDATE_S = 0.05
_STILL_TICKS = 4


def whole_ticks(offsets: Sequence[float]) -> tuple[float, ...]:
    """The offsets, rad, as servos can keep them."""
    return tuple(round(offset / RAD_PER_TICK) * RAD_PER_TICK for offset in offsets)


def write_joint_offsets(
    bus: DynamixelBus, model: ServoMap, corrections: Sequence[float], person: str
) -> dict[int, int]:
    """Add corrections to what the servos report; torque must be off and the arm supported.

    Every servo of a joint is shifted alike, so that pairs go on agreeing. What a servo reports is checked after each
    write; when one doesn't follow, all are put back.

    Args:
        bus: Of the servos, identified.
        model: The arm.
        corrections: rad for every joint: true angle - reported angle.
        person: Who supports the arm.

    Returns:
        Servo -> new homing offset, ticks, of those that changed.

    Raises:
        ConfigError: Without a name, for another number of joints, or beyond what a servo can shift.
        TorqueOnError: When a servo holds its joint.
        DeviceError: When a servo doesn't answer or doesn't report the shifted angle.
    """
    wanted = _wanted(bus, model, corrections, person)
    before = {servo: bus.read(servo, "homing_offset") for servo in wanted}
    written: dict[int, int] = {}
    try:
        for servo, offset in wanted.items():
            here = bus.read(servo, "present_position")
            written[servo] = offset
            bus.write(servo, "homing_offset", offset)
            bus.transactions.wait(_UPDATE_S)
            shifted = bus.read(servo, "present_position") - here
            if abs(shifted - (offset - before[servo])) > _STILL_TICKS:
                raise DeviceError(
                    f"Servo {servo} ({model.place(servo).name}) reports {shifted:+d} ticks more after its homing "
                    f"offset was changed by {offset - before[servo]:+d}. All offsets are as before. Keep the arm still "
                    "and try again."
                )
    except DeviceError:
        for servo in written:
            bus.write(servo, "homing_offset", before[servo])
        raise
    return written


def _wanted(bus: DynamixelBus, model: ServoMap, corrections: Sequence[float], person: str) -> dict[int, int]:
    """Servo -> homing offset, of those that change, after all checks."""
    if not person.strip():
        raise ConfigError("Writing joint offsets takes a person's name (calibrate.person): they must support the arm.")
    if len(corrections) != len(model.joints):
        raise ConfigError(f"The {model.name} has {len(model.joints)} joints, got {len(corrections)} corrections.")
    holding = [servo for servo, torque in bus.sync_read(model.servos, "torque_enable").items() if torque]
    if holding:
        raise TorqueOnError(
            f"Servos {holding} hold their joints (torque on): homing offsets can't be written. Bring the arm to its "
            "sleep pose, support it, switch the torque off, then write."
        )
    wanted: dict[int, int] = {}
    for joint, correction in enumerate(corrections):
        ticks = round(correction / RAD_PER_TICK)
        for place in model.group(joint):
            offset = bus.read(place.servo, "homing_offset") + ticks
            if abs(offset) > LARGEST_HOMING_TICKS:
                raise ConfigError(
                    f"Servo {place.servo} ({place.name}) would need a homing offset of {offset} ticks, at most "
                    f"{LARGEST_HOMING_TICKS} count in position mode: its horn is mounted wrongly. Nothing was written."
                )
            if ticks:
                wanted[place.servo] = offset
    return wanted
