"""Find the instructions of the configured task, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction


def instructions_of(config: DictConfig) -> Mapping[Direction, Sequence[str]]:
    """Direction -> wordings: `task.instructions` of the settings, otherwise those of the twin's task of that name.

    Raises:
        ConfigError: When a direction has no wording, or the twin knows no such task.
    """
    own = config.task.get("instructions")
    if own is None:
        from sim.tasks import find_task

        return find_task(str(config.task.name)).instructions
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
