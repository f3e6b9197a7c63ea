"""`regrasp virtual-arm`: a virtual WidowX in the foreground, for drivers and sessions of other processes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from trajectories.errors import ConfigError
from trajectories.numbers import positive

if TYPE_CHECKING:
    from sim.virtual.world import World
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
        image_size=int(robot.image_size),
        randomise=bool(robot.randomise),
        spread=robot.spread,
        fps=float(robot.fps),
        wire=bool(robot.wire),
    )


def announcement(world: World) -> str:
    """What a person has to know to connect."""
    lines = [f"The virtual arm is up, asleep and without torque.\n\n  port     {world.port}"]
    for name, camera in world.cameras.items():
        lines.append(f"  camera   {name} ({world.settings.cameras[name]}): {camera.device}")
    settings = world.settings
    lines.append(
        f"\nIn another terminal:  regrasp finetune task={settings.task} seed={settings.seed} robot=virtual "
        f"robot.world={world.folder}\nCtrl-C ends it.\n"
    )
    return "\n".join(lines)


def run(config: DictConfig) -> None:
    """Serve until Ctrl-C or until a client says stop."""
    from sim.virtual.world import World

    settings = world_settings(config)
    positive("every", config.every)
    if config.robot.world is not None:
        raise ConfigError("robot.world names a running virtual arm; to choose where this one appears, set folder.")
    folder = Path(config.folder) if config.folder else Path(tempfile.mkdtemp(prefix="regrasp-"))
    try:
        with World(settings, folder.absolute()) as world:
            print(announcement(world), flush=True)
            while world.serve(float(config.every)):
                print(world.status(), flush=True)
    finally:
        if not config.folder:
            shutil.rmtree(folder, ignore_errors=True)
