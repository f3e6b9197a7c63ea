"""`Mode`, what an arm's loop does, and checks of what goes to an arm and comes from it, on either side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np

from robot.control.faults import Fault, reason_of
from robot.interfaces import ArmState
from trajectories.errors import SafetyError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command, Float64

JOB_TIMEOUT_S = 15.0
"""An arm's loop that did nothing for so long hangs."""
SILENT = "The arm doesn't answer in time: check its cables and power."
_STARVED = "Is the control loop starved of processor time?"


class Mode(Enum):
    """What the loop does."""

    FOLLOW = "follow"
    SLEEP = "sleep"
    REST = "rest"
    HOLD = "hold"
    FAULT = "fault"
    LOST = "lost"


def require_free(standing: Sequence[Fault]) -> None:
    """Refuse motion while something stands.

    Raises:
        SafetyError: With the reason.
    """
    if standing:
        what = "rests" if all(fault.kind == "rest" for fault in standing) else "holds"
        raise SafetyError(f"The arm {what} and takes no commands. {reason_of(standing)}")


def finite_joints(command: Command, count: int) -> Float64:
    """The command's joints, float64 (count,) rad.

    Raises:
        SafetyError: When they or the gripper's width aren't finite.
    """
    joints = np.asarray(command.joints, dtype=np.float64)
    if joints.shape != (count,) or not np.isfinite(joints).all() or not math.isfinite(command.gripper_width):
        raise SafetyError(
            f"A command needs {count} finite joints and a finite gripper width, got {command.joints!r} and "
            f"{command.gripper_width!r}. Nothing was sent."
        )
    return joints


def fresh(
    state: ArmState | None, now_ns: int, beat_ns: int, max_age_s: float, fault: str | None, silent: str = SILENT
) -> ArmState:
    """`state`, unless it is too old.

    Args:
        state: Newest joint state, None before the first.
        now_ns: Monotonic ns.
        beat_ns: When the control loop last ran.
        max_age_s: At most allowed.
        fault: What is latched, None so far.
        silent: What to check when the loop runs and the arm doesn't answer.

    Raises:
        StaleDataError: When it is, with the reason if one is known.
    """
    age_s = float("inf") if state is None else (now_ns - state.t_ns) / NS_PER_S
    if state is None or age_s > max_age_s:
        limit_ns = max_age_s * NS_PER_S
        runs = now_ns - beat_ns < 0.5 * limit_ns  # a beat that stopped is a little younger than the state
        if state is not None:  # cycles that wait for servos take long, and end without a new state
            runs = runs or beat_ns - state.t_ns > 0.25 * limit_ns
        raise StaleDataError(
            f"The arm's joint state is {age_s * 1e3:.0f} ms old, at most {max_age_s * 1e3:.0f} ms are allowed. "
            f"{fault or (silent if runs else _STARVED)}"
        )
    return state
