"""What a virtual world consists of, and the same on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from drivers.dynamixel.servo_map import servo_map
from sim.rendering import MAX_SIZE
from sim.scene.scene import Scene
from sim.tasks.described import task_of
from sim.tasks.task import Spread
from sim.virtual.cameras import REALSENSE_STAND_IN, UVC_STAND_IN
from trajectories.errors import ConfigError
from trajectories.numbers import between

STAND_INS = {"uvc": UVC_STAND_IN, "realsense": REALSENSE_STAND_IN}
"""Kind of camera -> what the driver opens in place of the device (`stand_in` in its settings)."""


@dataclass(frozen=True)
class WorldSettings:
    """One virtual world.

    Attributes:
        task: Name in `sim.tasks.TASKS`.
        seed: Of the first scene and everything else that is random.
        cameras: Name in the scene -> kind, "uvc" or "realsense".
        image_size: Height and width of every camera, pixels: as the policy sees them, so that nothing is scaled.
        randomise: Whether every new scene varies sizes, colours, light and cameras.
        spread: Start distribution, "narrow" or "wide".
        fps: Frames per second of every camera.
        wire: Whether servo replies take the time that 1 Mbps needs.
        arm: Which arm, one of `drivers.dynamixel.servo_map.SERVO_MAPS`.
        description: Of a task that is none of `TASKS`, as of `sim.tasks.described`.
        lab: Draws what varies once, for all scenes; None where each scene draws anew.
    """

    task: str
    seed: int = 0
    cameras: Mapping[str, str] = field(default_factory=lambda: {"front": "uvc"})
    image_size: int = 96
    randomise: bool = True
    spread: Spread = "wide"
    fps: float = 15.0
    wire: bool = False
    arm: str = "wx250s"
    description: str = ""
    lab: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            ConfigError: Naming it.
        """
        task_of(self.task, self.description)
        servo_map(self.arm)
        object.__setattr__(self, "cameras", dict(self.cameras))
        for name, kind in self.cameras.items():
            if name not in Scene.cameras:
                raise ConfigError(f"There is no camera {name!r} in the scene; there are {list(Scene.cameras)}.")
            if kind not in STAND_INS:
                raise ConfigError(f"Camera {name!r} is of kind {kind!r}; choose one of {sorted(STAND_INS)}.")
        between("image_size", self.image_size, 1, MAX_SIZE)
        between("fps", self.fps, 1, 120)
        if self.spread not in get_args(Spread):
            raise ConfigError(f"The spread of starts is one of {get_args(Spread)}, got {self.spread!r}.")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every camera."""
        return self.image_size, self.image_size

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `WorldSettings(**...)` is the inverse."""
        return asdict(self)

    def to_arguments(self, folder: Path) -> list[str]:
        """Return the arguments from which `parse_arguments` reads these settings."""
        switches = {"--nominal": not self.randomise, "--wire": self.wire}
        return [
            *(
                "--folder",
                str(folder),
                "--arm",
                self.arm,
                "--task",
                self.task,
                "--seed",
                str(self.seed),
                "--spread",
                self.spread,
            ),
            *("--size", str(self.image_size), "--fps", str(self.fps)),
            *("--cameras", *(f"{name}:{kind}" for name, kind in self.cameras.items())),
            *(name for name, on in switches.items() if on),
            *(("--description", self.description) if self.description else ()),
            *(("--lab", str(self.lab)) if self.lab is not None else ()),
        ]


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[WorldSettings, Path]:
    """Settings and folder from a command line.

    Raises:
        ConfigError: When they make no sense.
    """
    parser = argparse.ArgumentParser(description="A virtual arm with its table and cameras, in real time.")
    parser.add_argument("--folder", type=Path, required=True, help="where the port, the cameras and `control` appear")
    parser.add_argument("--arm", default="wx250s", help="which arm (default wx250s)")
    parser.add_argument("--task", required=True, help="whose scene it is")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--cameras", nargs="*", default=["front:uvc"], metavar="NAME:KIND", help="kind uvc, realsense")
    parser.add_argument("--size", type=int, default=96, help="height and width of every camera (default 96)")
    parser.add_argument("--fps", type=float, default=15.0, help="frames per second (default 15)")
    parser.add_argument("--spread", default="wide", help="start distribution, wide or narrow (default wide)")
    parser.add_argument("--nominal", action="store_true", help="don't vary the scene")
    parser.add_argument("--wire", action="store_true", help="servo replies take their time at 1 Mbps")
    parser.add_argument("--description", default="", help="JSON of a task that is not one of the twin's own")
    parser.add_argument("--lab", type=int, help="draw what varies once, from this number, for all scenes")
    given = parser.parse_args(arguments)
    cameras = {name: kind for name, _, kind in (text.partition(":") for text in given.cameras)}
    settings = WorldSettings(
        given.task,
        given.seed,
        cameras,
        given.size,
        not given.nominal,
        given.spread,
        given.fps,
        given.wire,
        given.arm,
        given.description,
        given.lab,
    )
    return settings, given.folder
