"""The twin's tasks by name.

A new one is one entry here and one YAML in `configs/task`. Packages outside add theirs by the entry point
`regrasp.tasks`.
"""

from __future__ import annotations

from sim.tasks import priors, sweeping, targets
from sim.tasks.cloth_folding import CLOTH_FOLDING
from sim.tasks.cube_covering import CUBE_COVERING
from sim.tasks.moving import Goal, MoveTask
from sim.tasks.task import Task
from trajectories.errors import ConfigError
from trajectories.registry import Registry

_OWN: tuple[Task, ...] = (
    targets.POT_PICK_PLACE,
    targets.POT_LID,
    sweeping.CANDY_SWEEPING,
    targets.BIN_WEIGHT,
    targets.BIN_VASE,
    targets.BIN_BENCH,
    CLOTH_FOLDING,
    CUBE_COVERING,
    priors.CUBE_TO_PLATE,
    priors.CAN_TO_RACK,
    priors.SPONGE_TO_SINK,
    priors.CARROT_TO_BOWL,
    priors.BLOCK_TO_BIN,
    priors.CAN_TO_SHELF,
    priors.PUSH_PUCK,
    priors.STACK_CUBE,
)
TASKS: Registry[Task] = Registry("regrasp.tasks", "task", {task.name: task for task in _OWN})
"""Name -> task. Iterating it gives the names of packages outside, too; `TASKS.own` are those that are ours."""


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: With the names that exist; or when a package calls its task by another name than it has.
    """
    task = TASKS[name]
    if task.name != name:
        raise ConfigError(f"The entry point {name!r} of regrasp.tasks is a task named {task.name!r}; name both alike.")
    return task


__all__ = ["TASKS", "Goal", "MoveTask", "Task", "find_task"]
