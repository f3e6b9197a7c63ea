"""The configured task: its instructions in words, and its description for the twin where a YAML gives it a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from factory.spec import plain
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction

if TYPE_CHECKING:
    from sim.tasks import Task

SETTINGS = ("name", "prior", "max_steps", "cameras", "ends_open", "keeps_tool", "displace", "instructions", "scene")
"""What a task that a YAML describes may have."""


def task_of(config: DictConfig) -> Task:
    """The task in the robot's world: robosuite's of that name, or else the twin's, or the one that a YAML describes.

    Raises:
        ConfigError: The world knows no such task, or its description can't be.
    """
    from sim.robosuite.tasks import find_robosuite_task
    from sim.tasks.described import task_of as described_task

    name = str(config.task.name)
    if str(config.robot.name) == "robosuite":
        return find_robosuite_task(name)
    return described_task(name, description_of(config))


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
    for direction in DIRECTIONS:
        if isinstance(own.get(direction), str):
            raise ConfigError(f"task.instructions.{direction} is a text, expected a list: [{own[direction]!r}].")
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


def description_of(config: DictConfig) -> str:
    """What the twin makes the task from: "" for one of its own, otherwise `sim.tasks.described` of the settings.

    Raises:
        ConfigError: The task has no scene, or one that can't be, or one that doesn't fit `task.keeps_tool`.
    """
    from sim.tasks import TASKS
    from sim.tasks.described import described

    task = config.task
    if str(config.robot.name) == "robosuite":  # a world of its own, with scenes of its own
        return ""
    if not task.get("scene"):
        if task.get("instructions") is None or str(task.name) in TASKS:
            _require_tool(config, str(task.name) in TASKS and bool(TASKS[str(task.name)].tool))
            return ""
        raise ConfigError(
            f"task={task.name} has no scene, so nothing can be rehearsed in the twin (robot=twin, robot=virtual). Give "
            f"its YAML a `scene:`, as `regrasp new-task NAME scene=true` writes one, or use robot=widowx."
        )
    if task.get("instructions") is None:
        raise ConfigError(
            f"task={task.name} has a scene and no instructions: give task.instructions in both directions."
        )
    _require_tool(config, False)
    return described(str(task.name), plain(task.scene), instructions_of(config), ends_open(config))


def _require_tool(config: DictConfig, there: bool) -> None:
    """Refuse a task whose settings and scene don't agree on a tool in the gripper."""
    if keeps_tool(config) != there:
        raise ConfigError(
            f"task.keeps_tool={str(not there).lower()}, but in the twin the gripper {'holds a' if there else 'has no'} "
            f"tool in task={config.task.name}: give task.keeps_tool={str(there).lower()}."
        )


def require_scene(config: DictConfig) -> None:
    """Refuse a task without a scene where the robot is a simulated one.

    Raises:
        ConfigError: See `description_of`.
    """
    if str(config.robot.name) in ("twin", "virtual"):
        description_of(config)


def prior_of(config: DictConfig) -> list[str]:
    """Names of the tasks in `task.prior`, whose data `collect` records, too.

    Raises:
        ConfigError: One isn't the twin's, such as a task of a person's own.
    """
    names = [str(name) for name in config.task.prior]
    if not names or str(config.robot.name) == "robosuite":  # its tasks are found when their episodes are recorded
        return names
    from sim.tasks import TASKS

    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ConfigError(
            f"task.prior names {unknown[0]!r}, expected tasks of the twin: {', '.join(sorted(TASKS))}. To learn from a "
            f"task of your own beside this one, collect it by itself (`regrasp collect task={unknown[0]}`), then "
            f"`regrasp pretrain task={config.task.name} data=[{config.run_dir}/data,FOLDER_OF_THAT_RUN/data]`."
        )
    return names


def ends_open(config: DictConfig) -> bool:
    """Whether the task is done only once the gripper is open."""
    return bool(config.task.get("ends_open", True))


def keeps_tool(config: DictConfig) -> bool:
    """Whether a tool stays in the gripper between episodes, so that the arm goes home with its gripper closed."""
    return bool(config.task.get("keeps_tool", False))


def settle_task(config: DictConfig) -> None:
    """Check a task that a YAML describes, and give the robot the task's cameras, in the task's order.

    Raises:
        ConfigError: The task has a setting that nothing reads, or names a camera that the robot doesn't have.
    """
    if config.task.get("instructions") is not None:
        for where, keys, known in (
            ("task", config.task, SETTINGS),
            ("task.instructions", config.task.instructions, DIRECTIONS),
        ):
            unknown = sorted({str(key) for key in keys} - set(known))
            if unknown:
                raise ConfigError(f"{where} has no setting {unknown[0]!r}; there are {', '.join(known)}.")
    _choose_cameras(config)


def _choose_cameras(config: DictConfig) -> None:
    wanted, cameras = config.task.get("cameras"), config.robot.get("cameras")
    if not wanted or cameras is None:
        return
    if isinstance(cameras, ListConfig):  # the twin has a picture of every name that it knows
        config.robot.cameras = list(wanted)
        return
    missing = [str(name) for name in wanted if name not in cameras]
    if missing:
        raise ConfigError(
            f"task.cameras names {missing[0]!r}, which robot={config.robot.name} doesn't have; it has "
            f'{", ".join(map(str, cameras))}. Add it: "+robot.cameras.{missing[0]}={{kind: uvc}}" with its device.'
        )
    config.robot.cameras = {name: cameras[name] for name in wanted}
