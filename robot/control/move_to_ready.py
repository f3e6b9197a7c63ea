"""Move from any pose to the ready pose, slowly and on a straight line in joint space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robot.interfaces import Clock, LatchingArm
from trajectories.errors import SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command, Float64

_RATE_HZ = 50.0
_ARRIVED = 0.06
"""rad between joint and goal at the end, gravity's sag included."""
_LAG = 0.35
"""rad that a joint may stay behind its goal on the way: more means that something is in its way."""


def move_to_ready(
    arm: LatchingArm, clock: Clock, joints: Sequence[float], permit: Callable[[], None], speed: float = 0.5
) -> None:
    """Move to `joints` (N,) rad, no joint faster than `speed` rad/s; the gripper stays as it is.

    Args:
        arm: The arm.
        clock: Keeps the times.
        joints: See above.
        permit: Asked before every command; raises SafetyError when nothing may move.
        speed: See above.

    Raises:
        SafetyError: When a command isn't permitted, or something blocks the arm; it holds then.
        StaleDataError, DeviceError: When the arm doesn't answer.
    """
    start = arm.read()
    begin, goal = start.joints, np.asarray(joints, dtype=np.float64)
    count = max(1, round(float(np.abs(goal - begin).max()) / speed * _RATE_HZ))
    due = clock.now_ns()
    for i in range(1, count + 1):
        part = i / count
        smooth = part * part * (3.0 - 2.0 * part)
        permit()
        _send(arm, clock, begin + smooth * (goal - begin), start.gripper_width)
        due += round(NS_PER_S / _RATE_HZ)
        clock.sleep_until_ns(due)
    for _ in range(round(_RATE_HZ)):
        if float(np.abs(arm.read().joints - goal).max()) < _ARRIVED:
            return
        permit()
        _send(arm, clock, goal, start.gripper_width)
        due += round(NS_PER_S / _RATE_HZ)
        clock.sleep_until_ns(due)
    raise SafetyError(f"The arm didn't reach its ready pose {tuple(joints)}: something holds it. Free it, start again.")


def _send(arm: LatchingArm, clock: Clock, joints: Float64, width: float) -> None:
    measured = arm.read().joints
    if float(np.abs(measured - joints).max()) > _LAG:
        arm.hold()
        raise SafetyError("Something blocks the arm on its way to the ready pose. Free it and start again.")
    arm.send(Command(joints, width, clock.now_ns(), ()))
