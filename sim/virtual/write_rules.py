"""Values that fit a register and are refused all the same: limits, modes, tripped watchdog, shutdown."""

from __future__ import annotations

from drivers.dynamixel.messages import Refusal
from drivers.dynamixel.registers import Register
from sim.virtual.memory import ControlMemory

_POSITION_MODE = 3
_GOALS = ("goal_pwm", "goal_current", "goal_velocity", "goal_position")
LIMIT_OF = {"goal_pwm": "pwm_limit", "goal_current": "current_limit", "goal_velocity": "velocity_limit"}
"""Goal -> the register that limits it."""


def tripped(memory: ControlMemory) -> bool:
    """Whether the bus watchdog stopped the servo."""
    return memory.get("bus_watchdog") < 0


def refusal_of(register: Register, value: int, memory: ControlMemory) -> int:
    """Why the servo refuses the value, or 0."""
    name = register.name
    if name in _GOALS and tripped(memory):
        return Refusal.DATA_RANGE
    if name == "bus_watchdog" and (value < 0 or (tripped(memory) and value)):
        return Refusal.DATA_RANGE
    if name in LIMIT_OF and abs(value) > memory.get(LIMIT_OF[name]):
        return Refusal.DATA_LIMIT
    if name == "goal_position" and memory.get("operating_mode") == _POSITION_MODE:
        inside = memory.get("min_position_limit") <= value <= memory.get("max_position_limit")
        return 0 if inside else Refusal.DATA_LIMIT
    if name == "operating_mode" and value not in memory.table.modes:
        return Refusal.DATA_RANGE
    if name == "torque_enable" and value and memory.get("hardware_error_status"):
        return Refusal.RESULT
    return 0
