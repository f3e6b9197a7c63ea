"""The twin's tasks by name. A new one is one entry here and one YAML in `configs/task`."""

from __future__ import annotations

from sim.tasks import priors, targets
from sim.tasks.task import Goal, Task
from trajectories.errors import ConfigError

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        targets.POT_PICK_PLACE,
        targets.BIN_WEIGHT,
        priors.CUBE_TO_PLATE,
        priors.CAN_TO_RACK,
        priors.SPONGE_TO_SINK,
        priors.CARROT_TO_BOWL,
        priors.BLOCK_TO_BIN,
        priors.CAN_TO_SHELF,
        priors.PUSH_PUCK,
        priors.STACK_CUBE,
    )
}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: With the names that exist.
    """
    if name not in TASKS:
        raise ConfigError(f"There is no task {name!r}; there are {', '.join(TASKS)}.")
    return TASKS[name]


__all__ = ["TASKS", "Goal", "Task", "find_task"]
