"""Choose the poses from which the board is looked at: spread over the safety box, in an order with short ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot.arms.model import ArmModel
from robot.control.pose import Pose
from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmKinematics
from trajectories.errors import ConfigError, KinematicsError
from trajectories.types import Float64

_MARGIN = 0.1
"""Of the box, kept free on each side."""
_METRES_A_RADIAN = 0.1


def calibration_poses(
    model: ArmModel, limits: SafetyLimits, count: int, lowest: float, rng: np.random.Generator
) -> list[Pose]:
    """Poses that the arm can reach inside the limits.

    Args:
        model: The arm.
        limits: Its safety limits.
        count: How many.
        lowest: m, lowest height of the tip: what hangs from the gripper must fit below.
        rng: Draws them.

    Raises:
        ConfigError: When `lowest` leaves no room or the arm reaches too little of the box.
    """
    lower = np.array([*limits.position_lower, *limits.rpy_lower])
    upper = np.array([*limits.position_upper, *limits.rpy_upper])
    free = _MARGIN * (upper - lower)
    lower, upper = lower + free, upper - free
    lower[2] = max(lower[2], lowest)
    if lower[2] >= upper[2]:
        raise ConfigError(
            f"calibrate.lowest is {lowest} m, the arm's box ends at {limits.position_upper[2]} m; nothing is left "
            "between them. Use a smaller board, or hold it higher."
        )
    kinematics = model.kinematics(limits)
    found: list[Float64] = []
    for _ in range(20 * count):
        drawn = kinematics.attainable(_pose(rng.uniform(lower, upper)))
        if _reachable(kinematics, drawn, model.ready):
            found.append(np.array([*drawn.position, *drawn.rpy]))
        if len(found) == count:
            return [_pose(row) for row in _ordered(found)]
    raise ConfigError(f"The arm reaches only {len(found)} of {count} poses in its box; look at its safety limits.")


def _reachable(kinematics: ArmKinematics, pose: Pose, near: Sequence[float]) -> bool:
    try:
        kinematics.inverse(pose, near)
    except KinematicsError:
        return False
    return True


def _pose(place: Float64) -> Pose:
    return Pose(place[:3], place[3:])


def _ordered(places: list[Float64]) -> list[Float64]:
    """Each next one the nearest of those left."""
    scale = np.array([1.0, 1.0, 1.0, _METRES_A_RADIAN, _METRES_A_RADIAN, _METRES_A_RADIAN])
    left, way = places[1:], places[:1]
    while left:
        nearest = min(range(len(left)), key=lambda i: float(np.linalg.norm(scale * (left[i] - way[-1]))))
        way.append(left.pop(nearest))
    return way
