"""The settings of the robot's cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.spec import capture_sizes, plain
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from drivers.cameras.config import CameraConfig
    from drivers.cameras.registry import SourceSettings
    from sim.virtual.client import WorldCamera

SHARED = ("crop", "latency_ms", "patience")
"""Settings that cameras of all kinds have in YAML, beside their kind's own."""


def camera_settings(name: str, settings: DictConfig, size: int) -> CameraConfig:
    """Settings of a camera from YAML, of any kind in `drivers.cameras.registry`.

    Args:
        name: The camera's name.
        settings: `kind`, what that kind's settings class has, and `crop`, `latency_ms` and `patience` (settings of
            `drivers.cameras.config.Patience`) where they differ.
        size: Height and width of its frames, pixels.

    Raises:
        ConfigError: Naming what is wrong, with the kinds or the kind's keys that there are.
    """
    from drivers.cameras.config import CameraConfig, Patience
    from drivers.cameras.registry import KINDS, source_settings
    from trajectories.settings import merged

    raw, where = plain(settings), f"robot.cameras.{name}"
    kind = raw.pop("kind", None)
    if kind not in KINDS:
        raise ConfigError(f"{where}.kind is {kind!r}, expected one of {', '.join(KINDS)}.")
    shared = {key: raw.pop(key) for key in SHARED if key in raw}
    if shared.get("crop") is not None:
        shared["crop"] = tuple(shared["crop"])
    shared["patience"] = merged(Patience(), shared.get("patience") or {}, f"{where}.patience")
    return CameraConfig(name, source_settings(kind, raw, where), (size, size), **shared)


def cameras_of(config: DictConfig) -> dict[str, CameraConfig]:
    """Settings of all cameras of a robot whose `cameras` say their kinds, the first first.

    Raises:
        ConfigError: As of `camera_settings`.
    """
    sizes = capture_sizes(config)
    return {str(key): camera_settings(str(key), raw, sizes[str(key)]) for key, raw in config.robot.cameras.items()}


def virtual_cameras(config: DictConfig, world: Mapping[str, WorldCamera]) -> dict[str, CameraConfig]:
    """The drivers' settings for the cameras of `robot=virtual`, the first first.

    Args:
        config: Settings.
        world: Name -> camera of the virtual world.

    Raises:
        ConfigError: When depth is asked of a kind that has none.
    """
    sizes = capture_sizes(config)
    return {
        str(name): _virtual_camera(str(name), world[str(name)], sizes[str(name)], bool(camera.get("depth", False)))
        for name, camera in config.robot.cameras.items()
    }


def _virtual_camera(name: str, camera: WorldCamera, size: int, depth: bool) -> CameraConfig:
    from drivers.cameras.config import CameraConfig
    from drivers.cameras.realsense_config import RealSenseConfig
    from drivers.cameras.uvc import UvcConfig

    source: SourceSettings
    if camera.kind == "realsense":
        fps = round(camera.fps)
        source = RealSenseConfig(camera.device, camera.resolution, fps, depth=depth, stand_in=camera.stand_in)
    elif depth:
        raise ConfigError(
            f"robot.cameras.{name}.depth=true needs a camera with depth, and kind {camera.kind} has none. Give "
            f"robot.cameras.{name}.kind=realsense, or leave it out."
        )
    else:
        source = UvcConfig(camera.device, camera.resolution, camera.fps, stand_in=camera.stand_in)
    return CameraConfig(name, source, (size, size))
