"""Check the inputs of the safety filter before anything is computed with them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmState
from trajectories.types import ACTION_SIZE

_REAL_KINDS = "fiub"


def action_numbers(action: Any) -> list[float] | None:
    """The seven finite numbers of an action of any shape and real dtype, or None when it is anything else."""
    try:
        array = np.asarray(action)
    except (TypeError, ValueError):
        return None
    if array.size != ACTION_SIZE or array.dtype.kind not in _REAL_KINDS:
        return None
    values = [float(value) for value in array.ravel().tolist()]
    return values if all(map(math.isfinite, values)) else None


def impossible_state(state: ArmState, limits: SafetyLimits, names: Sequence[str]) -> str | None:
    """Why an arm with joints of these names can't be in such a state, in words, or None."""
    joints, efforts = state.joints.tolist(), state.efforts.tolist()
    if len(joints) != len(names) or len(efforts) != len(names):
        return f"the arm reported {len(joints)} joints and {len(efforts)} efforts, expected {len(names)} each"
    others = sum(state.velocities.tolist()) + state.gripper_width + state.gripper_effort
    if not math.isfinite(sum(joints) + sum(efforts) + others):
        return f"the arm reported a joint state that is not finite: {state}"
    for name, angle, low, high in zip(names, joints, limits.joint_lower, limits.joint_upper, strict=True):
        if not low - limits.joint_slack <= angle <= high + limits.joint_slack:
            return (
                f"{name} was measured at {angle:.3f} rad, outside of its limits {low:.3f} ... {high:.3f}: bring the "
                "joint back inside by hand, or check its calibration"
            )
    return None
