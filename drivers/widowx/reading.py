"""Read all servos once, and compute the arm's joint state from the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drivers.dynamixel.cycle import ServoHealth, ServoState, StateCycle
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.registers import LARGEST_PWM
from drivers.dynamixel.servo_map import ServoMap, ServoPlace, stall_torque
from drivers.errors import PortLostError, ServoRestartedError, ServoTimeoutError
from robot.interfaces import ArmState
from trajectories.errors import DeviceError

_FIRST_READS = 3


@dataclass(frozen=True)
class ServoStatus:
    """One servo.

    Attributes:
        servo: Id.
        name: E.g. "shoulder_shadow".
        t_ns: Monotonic ns of its last answer.
        load: Signed fraction of its stall torque.
        current_a: A; None for models that measure load only.
        temperature_c: Degrees C; None before it was first read.
        temperature_limit_c: Degrees C at which it switches itself off.
        voltage_v: V; None before it was first read.
        torque: Whether it holds its joint; None before it was first read.
        errors: Hardware errors that it reports, in words.
    """

    servo: int
    name: str
    t_ns: int
    load: float
    current_a: float | None
    temperature_c: int | None
    temperature_limit_c: int
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
            temperature_limit_c=place.table["temperature_limit"].initial,
            voltage_v=health.voltage if health else None,
            torque=health.torque if health else None,
            errors=tuple(bit.name.lower() for bit in HardwareError if state.error & bit and bit.name),
        )
    return found


@dataclass(frozen=True)
class Reading:
    """What one cycle brought.

    Attributes:
        states: Servo -> its state, only of those that answered in this cycle.
        missing: Servos that didn't answer.
        restarted: Servos that lost their RAM.
    """

    states: Mapping[int, ServoState]
    missing: tuple[int, ...] = ()
    restarted: tuple[int, ...] = ()


def read_cycle(cycle: StateCycle, health: bool, budget_s: float | None) -> Reading:
    """Ask all servos once; silence and restarts become part of the reading.

    Raises:
        PortLostError: Without port.
    """
    before = dict(cycle.newest)
    missing: tuple[int, ...] = ()
    restarted: tuple[int, ...] = ()
    try:
        return Reading(cycle.read(health, budget_s))
    except ServoTimeoutError as error:
        missing = error.ids
    except ServoRestartedError as error:
        restarted = error.ids
    fresh = {servo: state for servo, state in cycle.newest.items() if before.get(servo) is not state}
    absent = tuple(s for s in cycle.servos if s not in fresh and s not in restarted)
    return Reading(fresh, tuple(dict.fromkeys((*missing, *absent))), restarted)


def output(place: ServoPlace, state: ServoState) -> float:
    """Signed fraction of the servo's stall torque, from its current or its load."""
    if state.current is not None:
        return state.current / place.table.stall_current_a
    return state.load or 0.0


def joint_effort(model: ServoMap, states: Mapping[int, ServoState], joint: int) -> float:
    """N m with which the servos of a joint push, each as hard as it says; the sign is the leader's (*unconfirmed*).

    Reverse mode turns the sign of the measured current on some servos and not on others, so the signs of a pair say
    nothing. Servos that push against each other count as if they pushed together, which overestimates.
    """
    torques = [output(p, states[p.servo]) * stall_torque(p.table) for p in model.group(joint)]
    return math.copysign(sum(map(abs, torques)), torques[0])


def arm_state(model: ServoMap, states: Mapping[int, ServoState], gripper_pwm: int) -> ArmState:
    """Joint state of all servos' newest states; its time is that of the oldest.

    Args:
        model: The arm.
        states: Of every servo.
        gripper_pwm: Largest output that the gripper may use now, of 885.
    """
    leaders = [place.servo for place in model.leaders[:-1]]
    efforts = [joint_effort(model, states, joint) for joint in range(len(leaders))]
    gripper = states[model.gripper.servo]
    width = min(max(model.linkage.width(gripper.position), 0.0), model.linkage.largest_width)
    squeeze = -output(model.gripper, gripper) * LARGEST_PWM / gripper_pwm
    return ArmState(
        joints=np.array([states[servo].position for servo in leaders], dtype=np.float64),
        velocities=np.array([states[servo].velocity for servo in leaders], dtype=np.float64),
        efforts=np.array(efforts, dtype=np.float64),
        gripper_width=width,
        gripper_effort=min(max(squeeze, -1.0), 1.0),
        t_ns=min(states[servo].t_ns for servo in model.servos),
    )


def read_first(reader: StateCycle) -> None:
    """Read until every servo answered once (the line may be noisy).

    Raises:
        DeviceError: When one stays silent.
    """
    for attempt in range(_FIRST_READS):
        try:
            reader.read(health=True)
            return
        except PortLostError:
            raise
        except DeviceError:
            if attempt == _FIRST_READS - 1:
                raise
