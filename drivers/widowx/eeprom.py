"""Check the settings that servos keep without power against the arm's table, and write them on a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import RAD_PER_TICK
from drivers.dynamixel.servo_map import VELOCITY_LIMIT, ServoMap, ServoPlace
from drivers.errors import TorqueOnError
from trajectories.errors import ConfigError, DeviceError

_POSITION_MODE = 3
_SHUTDOWN = 52
_PAIR_TICKS = 20
"""Disagreement of a pair at rest that needs calibration, 1.8 degrees."""
_STILL_TICKS = 4
_UPDATE_S = 0.05
_OFFSET = "homing_offset"
_MEANING = {
    "operating_mode": "3 is position control; in another mode goal positions mean nothing",
    "drive_mode": "bit 0 is the direction; bit 2 (time-based profiles, which Interbotix' ROS driver leaves set) would "
    "turn the speed limit into a duration",
    "secondary_id": "which servo it follows",
    _OFFSET: "a shift of the joint's zero; the expected one is that of the newest calibration file",
    "shutdown": "which errors switch the torque off; 52 is overload, electrical shock, overheating",
    "startup_configuration": "must be 0, so that it doesn't switch torque on by itself",
}


class Difference(NamedTuple):
    """A register that isn't as the table wants it.

    Attributes:
        servo: Id.
        place: Name of the servo.
        register: Name of the register.
        found: What the servo holds.
        expected: What it should hold.
    """

    servo: int
    place: str
    register: str
    found: int
    expected: int

    def __str__(self) -> str:
        """One line for a person."""
        meaning = _MEANING.get(self.register)
        return (
            f"servo {self.servo} ({self.place}): {self.register} is {self.found}, expected {self.expected}"
            f"{f' ({meaning})' if meaning else ''}"
        )


def expected_settings(place: ServoPlace, offsets: Sequence[float] = ()) -> dict[str, int]:
    """Register -> value that a servo at this place should keep.

    A shadow's homing offset is free: it is calibrated so that both servos of the joint read the same.

    Args:
        place: Where it sits.
        offsets: rad, the joints' homing offsets as calibrated; 0 for joints beyond its end.
    """
    offset = offsets[place.joint] if place.joint < len(offsets) else 0.0
    settings = {
        "return_delay_time": 0,
        "drive_mode": place.drive_mode,
        "operating_mode": _POSITION_MODE,
        "secondary_id": place.secondary_id,
        "homing_offset": round(offset / RAD_PER_TICK),
        "velocity_limit": VELOCITY_LIMIT,
        "max_position_limit": place.max_position,
        "min_position_limit": place.min_position,
        "pwm_limit": 885,
        "shutdown": _SHUTDOWN,
    }
    if place.is_shadow:
        del settings["homing_offset"]
    if "startup_configuration" in place.table:
        settings["startup_configuration"] = 0
    for name in ("temperature_limit", "current_limit"):
        if name in place.table:
            settings[name] = place.table[name].initial
    return settings


def differences(bus: DynamixelBus, model: ServoMap, offsets: Sequence[float] = ()) -> list[Difference]:
    """Compare every servo with the table and the calibrated joint `offsets` (rad); nothing is written.

    Raises:
        DeviceError: When a servo doesn't answer.
    """
    found = []
    for place in model.places:
        for name, expected in expected_settings(place, offsets).items():
            value = bus.read(place.servo, name)
            if value != expected:
                found.append(Difference(place.servo, place.name, name, value, expected))
    return found


def write_settings(
    bus: DynamixelBus, model: ServoMap, person: str, offsets: Sequence[float] | None = None
) -> list[Difference]:
    """Write what differs, on the word of a person who has the arm in its sleep pose; returns what was changed.

    Torque must be off already: nothing here switches it off.

    Args:
        bus: Of the servos, identified.
        model: The arm.
        person: Who looks at the arm.
        offsets: (N,) rad, the homing offsets that the joints were calibrated to, which with 0 for the gripper are
            written as well; None leaves those in the servos as they are.

    Raises:
        ConfigError: Without a name, or for another number of offsets.
        TorqueOnError: When a servo holds its joint.
        DeviceError: When a servo didn't keep a value.
    """
    if not person.strip():
        raise ConfigError("Writing the servos' EEPROM takes a person's name: they must look at the arm meanwhile.")
    if offsets is not None and len(offsets) != len(model.joints):
        raise ConfigError(
            f"The {model.name} has {len(model.joints)} joints, got {len(offsets)} homing offsets. Give one a joint, "
            "in rad, as the newest calibration file says, or none to leave the servos' own."
        )
    holding = [servo for servo, torque in bus.sync_read(model.servos, "torque_enable").items() if torque]
    if holding:
        raise TorqueOnError(
            f"Servos {holding} hold their joints (torque on): the EEPROM can't be written. Bring the arm to its sleep "
            "pose, support it, switch the torque off, then write."
        )
    found = differences(bus, model, () if offsets is None else offsets)
    changed = [one for one in found if offsets is not None or one.register != _OFFSET]
    for difference in changed:
        bus.write(difference.servo, difference.register, difference.expected)
        if bus.read(difference.servo, difference.register) != difference.expected:
            raise DeviceError(f"It was not kept: {difference}. Power-cycle the arm and try again.")
    return changed


def pair_differences(bus: DynamixelBus, model: ServoMap) -> dict[int, int]:
    """Shadow -> ticks by which it reads more than the servo it follows, where that is too much to hold together."""
    positions = bus.sync_read(model.servos, "present_position")
    away = {p.servo: positions[p.servo] - positions[p.secondary_id] for p in model.places if p.is_shadow}
    return {servo: ticks for servo, ticks in away.items() if abs(ticks) > _PAIR_TICKS}


def calibrate_shadows(bus: DynamixelBus, model: ServoMap, person: str) -> dict[int, int]:
    """Set the shadows' homing offsets so that they read what their leaders read; torque must be off.

    Returns:
        Shadow -> new homing offset.

    Raises:
        ConfigError: Without a name.
        TorqueOnError: When a shadow holds its joint.
        DeviceError: When the two still disagree, e.g. because the arm was moved meanwhile.
    """
    if not person.strip():
        raise ConfigError("Calibrating the shadow servos takes a person's name: they must support the arm.")
    written = {}
    for servo, ticks in pair_differences(bus, model).items():
        offset = bus.read(servo, "homing_offset") - ticks
        bus.write(servo, "homing_offset", offset)
        bus.transactions.wait(_UPDATE_S)
        leader = model.place(servo).secondary_id
        left = bus.read(servo, "present_position") - bus.read(leader, "present_position")
        if abs(left) > _STILL_TICKS:
            raise DeviceError(
                f"Servo {servo} still reads {left * RAD_PER_TICK:.3f} rad more than servo {leader} after its homing "
                "offset was set. Keep the arm still and try again; if it stays, a horn is mounted wrongly."
            )
        written[servo] = offset
    return written


def describe(found: list[Difference]) -> str:
    """What differs and what to do, for a person."""
    lines = "\n  ".join(map(str, found))
    return f"The servos' settings differ from the table in {len(found)} places:\n  {lines}\n{advice(found)}"


def advice(found: list[Difference]) -> str:
    """What to do about differences, for a person."""
    said = [
        "Look at each. To write what the table says: arm in the sleep pose, torque off, then "
        "drivers.widowx.eeprom.write_settings(bus, model, person='your name'), which leaves homing offsets alone."
    ]
    if any(one.register == _OFFSET for one in found):
        said.append(
            "Homing offsets are this arm's calibration: name the folder of the calibration file that they came from "
            "(robot.calibrations=...), or calibrate again with `regrasp calibrate`. Only where the newest file is "
            "right and the servos aren't, add offsets=..., one a joint in rad as that file says."
        )
    return " ".join(said)
