"""Compute the `RobotSpec` of the configured robot, what the judge sees of it, and the device to train on."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from factory.arm import arm_of
from policies.common.launch import Launch
from rewards.cameras import judge_views
from trajectories.types import RobotSpec
from trajectories.views import camera_of, size_of


def plain(settings: DictConfig | None) -> dict[str, Any]:
    """A part of the settings as a plain dictionary; an empty one when it is empty or null."""
    if settings is None:
        return {}
    return {str(key): value for key, value in OmegaConf.to_container(settings, resolve=True).items()}  # type: ignore[union-attr]


def camera_names(config: DictConfig) -> tuple[str, ...]:
    """Names of the robot's cameras, the one that policy and reward see first."""
    return tuple(str(name) for name in config.robot.cameras)


def depth_names(config: DictConfig) -> tuple[str, ...]:
    """Names of the robot's cameras whose depth is recorded, too."""
    cameras = config.robot.cameras
    if isinstance(cameras, DictConfig):
        return tuple(str(name) for name, settings in cameras.items() if settings.get("depth", False))
    return tuple(str(name) for name in config.robot.get("depth") or ())


def cameras_of_judge(config: DictConfig) -> tuple[str, ...]:
    """What the judge looks through: cameras of the robot, or views of them (`rewards.cameras`).

    Raises:
        ConfigError: For a camera that the robot doesn't have, or an image size out of range.
    """
    names, size = camera_names(config), int(config.robot.image_size)
    return judge_views(plain(config.get("reward")), names, size) if names else ()


def views_of(config: DictConfig) -> tuple[str, ...]:
    """Names of the robot's cameras, then of the judge's views of them."""
    cameras = camera_names(config)
    return (*cameras, *(name for name in cameras_of_judge(config) if name not in cameras))


def capture_sizes(config: DictConfig) -> dict[str, int]:
    """Camera -> height and width at which it has to be opened, pixels: the largest of what its frames are used at."""
    own = int(config.robot.image_size)
    sizes = dict.fromkeys(camera_names(config), own)
    for name in views_of(config):
        sizes[camera_of(name)] = max(sizes[camera_of(name)], size_of(name, own))
    return sizes


def spec_of(config: DictConfig) -> RobotSpec:
    """The specification of the robot that the settings name, with the judge's views."""
    size = int(config.robot.image_size)
    cameras = {name: (size_of(name, size),) * 2 for name in views_of(config)}
    return RobotSpec(cameras=cameras, joints=arm_of(config).joints, depth=depth_names(config))


def device_of(config: DictConfig) -> str:
    """The torch device that `compute` means: with `auto`, a GPU when there is one; several processes have one each."""
    import torch

    if config.compute != "auto":
        return Launch.of().device(str(config.compute))
    return Launch.of().device("cuda" if torch.cuda.is_available() else "cpu")
