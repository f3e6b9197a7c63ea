"""Virtual robots as the commands use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.arm import arm_of
from factory.spec import capture_sizes
from factory.task import description_of
from factory.twin import lab_of
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from sim.virtual.world_settings import WorldSettings


def world_settings(config: DictConfig) -> WorldSettings:
    """What the virtual world consists of.

    Raises:
        ConfigError: When the settings are of another robot or can't be.
    """
    from sim.virtual.world_settings import WorldSettings

    robot = config.robot
    if str(robot.name) != "virtual":
        raise ConfigError(f"A virtual arm needs robot=virtual, got robot={robot.name}.")
    return WorldSettings(
        task=str(config.task.name),
        seed=int(config.seed),
        cameras={str(name): str(camera.kind) for name, camera in robot.cameras.items()},
        image_size=max(capture_sizes(config).values()),
        randomise=bool(robot.randomise),
        lab=lab_of(config),
        spread=robot.spread,
        fps=float(robot.fps),
        wire=bool(robot.wire),
        arm=arm_of(config).name,
        description=description_of(config),
    )
