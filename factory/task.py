"""Find the instructions of the configured task, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction

if TYPE_CHECKING:
    from sim.tasks import Task


def task_of(config: DictConfig) -> Task:
    """The task of that name in the robot's world: robosuite's, or else the twin's.

    Raises:
        ConfigError: The world knows no such task.
    """
    from sim.robosuite.tasks import find_robosuite_task
    from sim.tasks import find_task

    name = str(config.task.name)
    return find_robosuite_task(name) if str(config.robot.name) == "robosuite" else find_task(name)


def instructions_of(config: DictConfig) -> Mapping[Direction, Sequence[str]]:
    """Direction -> wordings: `task.instructions` of the settings, otherwise those of the world's task of that name.

    Raises:
        ConfigError: When a direction has no wording, or the twin knows no such task.
    """
    own = config.task.get("instructions")
    if own is None:
        return task_of(config).instructions
    wordings: dict[Direction, tuple[str, ...]] = {
        direction: tuple(str(text) for text in own.get(direction) or ()) for direction in DIRECTIONS
    }
    for direction, texts in wordings.items():
        if not texts or not all(text.strip() for text in texts):
            raise ConfigError(
                f"task.instructions.{direction} is {list(texts)}, expected at least one wording, such as "
                "['put the sponge into the bowl']. Write it into the task's file, "
                f"configs/task/{config.task.name}.yaml or the one of your own, or give it with the command: "
                f"\"task.instructions.{direction}=['put the sponge into the bowl']\". The robot needs one for undoing "
                "the task, too."
            )
    return wordings
