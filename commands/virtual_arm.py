"""`regrasp virtual-arm`: a virtual WidowX in the foreground, for drivers and sessions of other processes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.virtual_robot import world_settings
from robot.signals import ENDINGS, on_signals
from trajectories.errors import ConfigError
from trajectories.numbers import positive

if TYPE_CHECKING:
    from sim.virtual.world import World


def announcement(world: World) -> str:
    """What a person has to know to connect."""
    lines = [f"The virtual arm is up, asleep and without torque.\n\n  port     {world.port}"]
    for name, camera in world.cameras.items():
        lines.append(f"  camera   {name} ({world.settings.cameras[name]}): {camera.device}")
    settings = world.settings
    lines.append(
        "\nIn another terminal, with the other settings of your run (profile=, method=, run_dir=) where you gave any:\n"
        f"  regrasp finetune task={settings.task} seed={settings.seed} robot=virtual robot.world={world.folder}\n"
        "Ctrl-C ends it.\n"
    )
    return "\n".join(lines)


class _Ending:
    """Takes the signals: the world is told to stop, and nothing is cut short by an exception."""

    def __init__(self) -> None:
        self.asked = False
        self.world: World | None = None

    def end(self) -> None:
        """Stop the world, or let it not begin."""
        self.asked = True
        if self.world is not None:
            self.world.stop()


def run(config: DictConfig) -> None:
    """Serve until Ctrl-C, another signal that ends a verb, or until a client says stop.

    Raises:
        KeyboardInterrupt: After the orderly end, when a signal asked for it.
        ConfigError: For settings that make no sense.
    """
    from sim.virtual.world import World

    settings = world_settings(config)
    positive("every", config.every)
    if config.robot.world is not None:
        raise ConfigError("robot.world names a running virtual arm; to choose where this one appears, set folder.")
    ending = _Ending()
    with on_signals(ending.end, *ENDINGS):
        folder = Path(config.folder) if config.folder else Path(tempfile.mkdtemp(prefix="regrasp-"))
        try:
            with World(settings, folder.absolute()) as ending.world:
                print(announcement(ending.world), flush=True)
                while not ending.asked and ending.world.serve(float(config.every)):
                    print(ending.world.status(), flush=True)
        finally:
            if not config.folder:
                shutil.rmtree(folder, ignore_errors=True)
    if ending.asked:
        raise KeyboardInterrupt
