"""An episode of ours under the keys and in the units of other projects' formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation as Turn

from robot.arms.model import ArmModel
from robot.control.pose import DOWN
from trajectories.errors import ConfigError
from trajectories.formats.foreign import ArrayFrames, ForeignEpisode, FrameSource, SinkSettings
from trajectories.kinds import kind_of
from trajectories.provenance import origin_of
from trajectories.types import ACTION_SIZE, Episode, Float32, Float64, RobotSpec

ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
LAST = "is_last"
"""Column that is true in the row of what was seen after the last action; the action in that row is rest."""
_TIP = ("tip_x", "tip_y", "tip_z", "tip_roll", "tip_pitch", "tip_yaw")


def to_foreign(episode: Episode, spec: RobotSpec, arm: ArmModel, format: str) -> ForeignEpisode:
    """The episode as `format` names and measures things.

    Args:
        episode: Of ours.
        spec: Of its store.
        arm: Whose fingers the gripper's width is of.
        format: One of `LAYOUTS`.

    Raises:
        ConfigError: There is no such layout, or the store lacks what it needs.
    """
    if format not in LAYOUTS:
        raise ConfigError(f"Nothing is exported as {format!r}; there are {', '.join(sorted(LAYOUTS))}.")
    columns, images = LAYOUTS[format](episode, spec, arm)
    return ForeignEpisode(episode.id, spec.control_hz, columns, images, (episode.instruction,), _attributes(episode))


def sink_settings(spec: RobotSpec, arm: ArmModel, lossless: bool) -> SinkSettings:
    """What a sink is told of a store."""
    names = {"observation.state": spec.proprio, "action": ACTION_NAMES}
    attributes = {
        "recorded_with": "regrasp",
        "action": "change of the tip's target pose, x y z along the base's axes and roll pitch yaw about the tip, "
        "in parts of action_scale; gripper 1 open, -1 closed",
        "action_scale": list(spec.action_scale),
        "proprio": list(spec.proprio),
        "control_hz": spec.control_hz,
        "env_name": arm.name,
    }
    return SinkSettings(spec.control_hz, arm.name, lossless, names, attributes)


Parts = tuple[dict[str, NDArray[Any]], dict[str, FrameSource]]


def _lerobot(episode: Episode, spec: RobotSpec, arm: ArmModel) -> Parts:
    """A row a frame; the last one, with what was seen after the last action, has an action of rest."""
    rest = np.zeros((1, ACTION_SIZE), np.float32)
    rest[0, 6] = episode.executed[-1, 6]
    ended = episode.terminated | episode.truncated
    columns = {
        "observation.state": episode.proprio,
        "action": np.concatenate([episode.executed, rest]),
        "next.reward": _repeat_last(episode.rewards),
        "next.done": _repeat_last(ended),
        "next.success": _repeat_last(episode.terminated),
        "source": _repeat_last(episode.source.astype(np.int64)),
        LAST: np.arange(len(episode) + 1) == len(episode),
    }
    return columns, _images(episode, "observation.images.{}")


def _bridge(episode: Episode, spec: RobotSpec, arm: ArmModel) -> Parts:
    """Poses relative to the gripper pointing down, the gripper 0 to 1, actions in m and rad; reward 1 at success."""
    tip = _entries(episode, spec, _TIP)
    width = _entries(episode, spec, ("gripper_width",)) / arm.opening
    state = np.concatenate([tip, width.clip(0.0, 1.0)], 1).astype(np.float64)
    scale = np.array(spec.action_scale[:6])
    commands = 0.5 * (episode.executed[:, 6:] + 1.0)
    actions = np.concatenate([episode.executed[:, :6] * scale, commands], 1).astype(np.float64)
    columns: dict[str, NDArray[Any]] = {
        "full_state": state,
        "state": state,
        "eef_transform": _transforms(tip),
        "time_stamp": episode.t_ns["joints"] / 1e9,
        "actions": actions,
        "rewards": episode.terminated.astype(np.float32),
    }
    images: dict[str, FrameSource] = {
        f"images{i}": ArrayFrames(episode.images[camera]) for i, camera in enumerate(spec.cameras)
    }
    deep = enumerate(spec.depth)
    return columns, images | {f"depth_images{i}": ArrayFrames(episode.depth[camera]) for i, camera in deep}


def _robomimic(episode: Episode, spec: RobotSpec, arm: ArmModel) -> Parts:
    """The poses under robosuite's names, in the arm's base frame; actions as ours; reward 1 where the task is done."""
    tip = _entries(episode, spec, _TIP)
    turn = Turn.from_matrix(_transforms(tip)[:, :3, :3])
    columns: dict[str, NDArray[Any]] = {
        "actions": episode.executed,
        "rewards": episode.terminated.astype(np.float32),
        "dones": (episode.terminated | episode.truncated).astype(np.int64),
        "obs/proprio": episode.proprio,
        "obs/robot0_eef_pos": tip[:, :3],
        "obs/robot0_eef_quat": turn.as_quat(),
    }
    if "gripper_width" in spec.proprio:
        half = 0.5 * _entries(episode, spec, ("gripper_width",))
        columns["obs/robot0_gripper_qpos"] = np.concatenate([half, -half], 1)
    return columns, {
        k.replace("_depth_image", "_depth"): found for k, found in _images(episode, "obs/{}_image").items()
    }


def _minari(episode: Episode, spec: RobotSpec, arm: ArmModel) -> Parts:
    columns = {
        "observations/proprio": episode.proprio,
        "actions": episode.executed,
        "rewards": episode.rewards,
        "terminations": episode.terminated,
        "truncations": episode.truncated,
    }
    return columns, _images(episode, "observations/{}")


def _diffusion_policy(episode: Episode, spec: RobotSpec, arm: ArmModel) -> Parts:
    columns = {
        "state": episode.proprio,
        "robot_eef_pose": _entries(episode, spec, _TIP).astype(np.float32),
        "action": episode.executed,
    }
    return columns, _images(episode, "{}")


LAYOUTS: Mapping[str, Callable[[Episode, RobotSpec, ArmModel], Parts]] = {
    "lerobot_v3": _lerobot,
    "lerobot_v2": _lerobot,
    "bridge": _bridge,
    "robomimic": _robomimic,
    "minari": _minari,
    "diffusion_policy": _diffusion_policy,
}
"""Format -> columns and images of an episode: T actions and the like, T + 1 observations, but T + 1 rows in "
"LeRobot's."""


def _images(episode: Episode, key: str) -> dict[str, FrameSource]:
    """Colour under `key`, depth under `key` with _depth in its name."""
    images: dict[str, FrameSource] = {key.format(name): ArrayFrames(found) for name, found in episode.images.items()}
    return images | {key.format(f"{name}_depth"): ArrayFrames(found) for name, found in episode.depth.items()}


def _attributes(episode: Episode) -> dict[str, Any]:
    """What the formats have no column for; the door back in reads outcome, task and direction."""
    origin = origin_of(episode)
    found = {
        "id": episode.id,
        "task": episode.task,
        "direction": episode.direction,
        "outcome": episode.outcome,
        "kind": kind_of(episode),
        "imported": None if origin is None else f"{origin.get('source')}: {origin.get('episode')}",
    }
    return {key: value for key, value in found.items() if value is not None}


def _entries(episode: Episode, spec: RobotSpec, names: tuple[str, ...]) -> Float64:
    """Entries of the proprioception, float64 (T + 1, N).

    Raises:
        ConfigError: The store has none of this name.
    """
    missing = [name for name in names if name not in spec.proprio]
    if missing:
        raise ConfigError(
            f"The store has no {', '.join(missing)} in its proprioception, which this format needs; it can be "
            "exported as lerobot_v3, lerobot_v2 or minari."
        )
    return episode.proprio[:, [spec.proprio.index(name) for name in names]].astype(np.float64)


def _transforms(tip: Float64) -> Float64:
    """float64 (T + 1, 4, 4) from the tool's frame (x along the fingers) to the base's."""
    transforms = np.tile(np.eye(4), (len(tip), 1, 1))
    transforms[:, :3, :3] = Turn.from_euler("xyz", tip[:, 3:]).as_matrix() @ DOWN
    transforms[:, :3, 3] = tip[:, :3]
    return transforms


def _repeat_last(column: NDArray[Any] | Float32) -> NDArray[Any]:
    return np.concatenate([column, column[-1:]])
