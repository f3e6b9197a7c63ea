"""Move the arm from pose to pose through the safety filter, slowly, and take a picture at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drivers.calibration.detection import BoardDetector
from drivers.calibration.views import View
from robot.control.home import action_towards
from robot.control.pose import Pose
from robot.rollout.environment import RobotEnv
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE, Float32, UInt8

_MOST_STEPS = 200
_SETTLE_STEPS = 3
_STILL_RAD = 0.004
"""Between two readings of a joint: under three ticks."""


def grip(env: RobotEnv, is_open: bool, steps: int = 8) -> None:
    """Open or close the gripper where the arm is.

    Raises:
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    for _ in range(steps):
        env.apply(_stay(is_open))


def move_to(env: RobotEnv, goal: Pose, speed: float, gripper_open: bool) -> bool:
    """Straight to `goal`, the gripper as told; returns whether it got there.

    Args:
        env: The arm.
        goal: Where to go.
        speed: Largest fraction of an action.
        gripper_open: What the gripper does meanwhile.

    Raises:
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    for _ in range(_MOST_STEPS):
        action, arrives = action_towards(env.target.pose, goal, env.robot_spec.action_scale, speed, gripper_open)
        applied = env.apply(action)
        if arrives and not applied.command.clipped:
            return True
        if applied.command.clipped and "lag" not in applied.command.clipped and not applied.executed[:6].any():
            return False
    return False


def look(env: RobotEnv, camera: str, gripper_open: bool, detector: BoardDetector) -> tuple[UInt8, View | None]:
    """Wait until the arm stands still; the picture, and the view if the board is in it and the arm was still.

    Raises:
        ConfigError: When there is no such camera.
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    if camera not in env.robot_spec.cameras:
        raise ConfigError(f"There is no camera {camera!r}; robot.cameras names {sorted(env.robot_spec.cameras)}.")
    for _ in range(_SETTLE_STEPS):
        env.apply(_stay(gripper_open))
    before = env.arm_state.joints
    env.apply(_stay(gripper_open))
    image = env.observe().images[camera]
    after = env.arm_state.joints
    if float(np.abs(after - before).max()) > _STILL_RAD:
        return image, None
    seen = detector.find(image)
    return image, None if seen is None else View(0.5 * (before + after), seen)


def collect_views(
    env: RobotEnv,
    camera: str,
    poses: Sequence[Pose],
    detector: BoardDetector,
    *,
    speed: float,
    gripper_open: bool,
    on_pose: Callable[[UInt8, View | None], None] | None = None,
) -> list[View]:
    """Visit the poses and return the views in which the board was seen; poses that can't be reached are left out.

    Args:
        env: The arm.
        camera: Name of the camera.
        poses: Where to go.
        detector: Of the board.
        speed: Largest fraction of an action.
        gripper_open: False while the gripper holds the board.
        on_pose: Told of every pose that was reached: the picture, and the view if there is one.

    Raises:
        ConfigError: When there is no such camera.
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    views: list[View] = []
    for pose in poses:
        if not move_to(env, pose, speed, gripper_open):
            continue
        image, view = look(env, camera, gripper_open, detector)
        if on_pose is not None:
            on_pose(image, view)
        if view is not None:
            views.append(view)
    return views


def _stay(gripper_open: bool) -> Float32:
    action = np.zeros(ACTION_SIZE, dtype=np.float32)
    action[6] = 1.0 if gripper_open else -1.0
    return action
