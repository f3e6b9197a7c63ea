"""Read all servos once, and compute the arm's joint state from the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drivers.dynamixel.cycle import ServoState, StateCycle
from drivers.dynamixel.servo_map import ServoMap, ServoPlace, stall_torque
from drivers.dynamixel.units import LARGEST_PWM
from drivers.errors import ServoRestartedError, ServoTimeoutError
from robot.interfaces import ArmState


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


def arm_state(model: ServoMap, states: Mapping[int, ServoState], gripper_pwm: int) -> ArmState:
    """Joint state of all servos' newest states; its time is that of the oldest.

    Args:
        model: The arm.
        states: Of every servo.
        gripper_pwm: Largest output that the gripper may use now, of 885.
    """
    leaders = [place.servo for place in model.leaders[:-1]]
    efforts = [
        sum(output(p, states[p.servo]) * stall_torque(p.table) for p in model.group(joint))
        for joint in range(len(leaders))
    ]
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
