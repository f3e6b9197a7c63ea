"""Describe the state of every servo for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.dynamixel.cycle import ServoHealth, ServoState
from drivers.dynamixel.replies import HardwareError
from drivers.dynamixel.servo_map import ServoMap
from drivers.widowx.reading import output


@dataclass(frozen=True)
class ServoStatus:
    """One servo.

    Attributes:
        servo: Id.
        name: E.g. "shoulder_shadow".
        t_ns: Monotonic ns of its last answer.
        load: Signed fraction of its stall torque.
        current_a: A; None for models that measure load only.
        temperature_c: Degrees C; None before it was first read, as the next two.
        voltage_v: V.
        torque: Whether it holds its joint.
        errors: Hardware errors that it reports, in words.
    """

    servo: int
    name: str
    t_ns: int
    load: float
    current_a: float | None
    temperature_c: int | None
    voltage_v: float | None
    torque: bool | None
    errors: tuple[str, ...]


def statuses(
    model: ServoMap, states: Mapping[int, ServoState], healths: Mapping[int, ServoHealth]
) -> dict[int, ServoStatus]:
    """Status by id of all servos that ever answered.

    Args:
        model: The arm.
        states: Newest state by id.
        healths: Newest health by id.
    """
    found = {}
    for place in model.places:
        if (state := states.get(place.servo)) is None:
            continue
        health = healths.get(place.servo)
        found[place.servo] = ServoStatus(
            servo=place.servo,
            name=place.name,
            t_ns=state.t_ns,
            load=output(place, state),
            current_a=state.current,
            temperature_c=health.temperature if health else None,
            voltage_v=health.voltage if health else None,
            torque=health.torque if health else None,
            errors=tuple(bit.name.lower() for bit in HardwareError if state.error & bit and bit.name),
        )
    return found
