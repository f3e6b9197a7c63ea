"""Twins as the commands use them: one set of settings, one compiled scene per process and task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.arm import DEFAULT_ARM, arm_of
from factory.spec import depth_names, views_of
from factory.task import description_of
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from sim.tasks.task import Spread
    from sim.twin import Twin


UNSHIFTED = "none"
"""The shift of the scene's looks that is none (`sim.scene.spec.SHIFTS`)."""
WORLDS = ("twin", "robosuite")
"""Robots whose time is the simulation's."""


@dataclass(frozen=True)
class TwinSettings:
    """What a worker process needs to build a twin.

    Attributes:
        task: Task name.
        seed: Seed of the compiled scene.
        cameras: Names of the cameras and of views of them (`trajectories.views`).
        image_size: Height and width of every camera, pixels.
        randomise: Vary colour, size, light and camera at every reset.
        spread: Width of the start distribution, "narrow" or "wide".
        arm: Name of the arm's model.
        world: Whose scenes and physics: "twin" (our own) or "robosuite".
        depth: Those of the cameras that give depth, too.
        description: Of a task that a YAML describes (`factory.task.description_of`), or "".
        shift: What varies more than in training: a name of `sim.scene.spec.SHIFTS`.
        frame_loss: Share of the cameras' frames that never arrive.
        lab: Of which lab the target task's scenes are, see `lab_of`.
    """

    task: str
    seed: int
    cameras: tuple[str, ...]
    image_size: int
    randomise: bool
    spread: Spread
    arm: str = DEFAULT_ARM
    world: str = "twin"
    depth: tuple[str, ...] = ()
    description: str = ""
    shift: str = UNSHIFTED
    frame_loss: float = 0.0
    lab: int | None = None

    @classmethod
    def from_config(cls, config: DictConfig) -> TwinSettings:
        """Read them from a command's settings."""
        robot = config.robot
        return cls(
            task=config.task.name,
            seed=int(config.seed),
            cameras=views_of(config),
            image_size=int(robot.image_size),
            randomise=bool(robot.get("randomise", False)),
            spread=robot.get("spread", "wide"),
            arm=arm_of(config).name,
            world=str(robot.name),
            depth=depth_names(config),
            description=description_of(config),
            shift=str(robot.get("shift", UNSHIFTED)),
            frame_loss=float(robot.get("frame_loss", 0.0)),
            lab=lab_of(config),
        )

    def of_task(self, task: str) -> TwinSettings:
        """The same for another of the twin's tasks, whose data are from many places; for this one as it is."""
        return self if task == self.task else replace(self, task=task, description="", lab=None)


def lab_of(config: DictConfig) -> int | None:
    """Which lab the target task's scenes are in: the number that draws what stays from reset to reset; None: in any.

    Raises:
        ConfigError: It is no such number, or nothing is drawn at all.
    """
    lab = config.robot.get("lab")
    if lab is None:
        return None
    if not isinstance(lab, int) or isinstance(lab, bool) or lab < 0:
        raise ConfigError(f"robot.lab={lab} is no lab's number, expected 0, 1, 2 and so on, or null for other scenes.")
    if not config.robot.randomise:
        raise ConfigError(
            "robot.randomise=false draws nothing, and robot.lab draws the looks of one lab. Leave one of them out."
        )
    return lab


def in_simulated_time(config: DictConfig) -> bool:
    """Whether the robot lives in a simulation that waits for whoever acts: the twin, or robosuite's world."""
    return str(config.robot.name) in WORLDS


def require_world(config: DictConfig, what: str, instead: str) -> None:
    """Refuse to go on with a robot that isn't simulated as fast as the computer can.

    Raises:
        ConfigError: Saying `what` needs it, and in a sentence what to do `instead` on other robots.
    """
    if not in_simulated_time(config):
        raise ConfigError(f"{what} in a simulation, not with robot={config.robot.name}. {instead}")


@lru_cache(maxsize=1)
def cached_twin(settings: TwinSettings) -> Twin:
    """The process' twin for these settings, compiled once.

    Raises:
        ConfigError: Depth is asked for in robosuite's world.
    """
    if settings.world == "robosuite":
        if settings.depth:
            raise ConfigError("The cameras of robot=robosuite give no depth; leave robot.depth out.")
        if settings.shift != UNSHIFTED:
            raise ConfigError("Looks are shifted in the twin alone: leave evaluate_reward.shifts and robot.shift out.")
        if settings.frame_loss:
            raise ConfigError("Frames are lost in the twin alone: leave robot.frame_loss out.")
        from sim.robosuite.twin import make_robosuite_twin

        return make_robosuite_twin(
            settings.task,
            seed=settings.seed,
            cameras=settings.cameras,
            image_size=settings.image_size,
            spread=settings.spread,
        )
    from sim.twin import make_twin

    return make_twin(
        settings.task,
        seed=settings.seed,
        cameras=settings.cameras,
        image_size=settings.image_size,
        randomise=settings.randomise,
        spread=settings.spread,
        arm=settings.arm,
        depth=settings.depth,
        description=settings.description,
        shift=settings.shift,
        frame_loss=settings.frame_loss,
        lab=settings.lab,
    )
