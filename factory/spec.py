"""Compute the `RobotSpec` of the configured robot, and the device to train on."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from factory.arm import arm_of
from trajectories.types import RobotSpec


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


def spec_of(config: DictConfig) -> RobotSpec:
    """The specification of the robot that the settings name."""
    size = int(config.robot.image_size)
    cameras = dict.fromkeys(camera_names(config), (size, size))
    return RobotSpec(cameras=cameras, joints=arm_of(config).joints, depth=depth_names(config))


def device_of(config: DictConfig) -> str:
    """The torch device that `compute` means: with `auto`, a GPU when there is one."""
    import torch

    if config.compute != "auto":
        return str(config.compute)
    return "cuda" if torch.cuda.is_available() else "cpu"
