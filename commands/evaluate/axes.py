"""Axes of change: each changes one thing alone beyond what training saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from factory.twin import UNSHIFTED
from sim.scene.spec import SHIFTS, Variation
from sim.tasks.held_out_wordings import HELD_OUT
from sim.tasks.task import Task
from trajectories.errors import ConfigError
from trajectories.types import Direction

_LEAST_SIZE = 0.7
"""Share of training's smallest size below which objects are not made."""
CONTROL = "control"
"""The arm in which nothing is changed."""


@dataclass(frozen=True)
class Axis:
    """What one arm of a matrix changes.

    Attributes:
        name: As it is asked for.
        meaning: What is changed, and by how much.
        shift: Of the scene, see `sim.scene.spec.SHIFTS`.
        action_delay: Control steps by which actions are executed late.
        picture_delay: Control steps by which the policy's pictures are old.
        rewords: Whether instructions are held-out ones.
    """

    name: str
    meaning: str
    shift: str = UNSHIFTED
    action_delay: int = 0
    picture_delay: int = 0
    rewords: bool = False

    def wordings(self, task: Task) -> Mapping[Direction, tuple[str, ...]]:
        """What is given in place of the task's own instructions; nothing where they stay."""
        return HELD_OUT.get(task.name, {}) if self.rewords else {}

    def missing(self, task: Task) -> str | None:
        """Why the axis changes nothing in a task, or None."""
        if self.rewords and task.name not in HELD_OUT:
            return "the task has no held-out wordings"
        if self.shift == "size":
            return _unsizable([item.size for item in task.scene.objects])
        return None


def _unsizable(sizes: Sequence[tuple[float, float]]) -> str | None:
    """Why objects with these least and largest sizes can't be made of other sizes, or None."""
    if not any(low < high for low, high in sizes):
        return "no object of the scene varies in size"
    half = SHIFTS["size"].size / 2
    if any((low + high) / 2 - half * (high - low) < _LEAST_SIZE * low for low, high in sizes):
        return "sizes vary so widely in training that beyond them hardly anything is left of an object"
    return None


def _meanings() -> dict[str, str]:
    """What the shifts change, in numbers."""
    usual, light, camera, colour = Variation(), SHIFTS["light"], SHIFTS["camera"], SHIFTS["object"]
    size, friction, start = SHIFTS["size"], SHIFTS["friction"], SHIFTS["start"]

    def span(most: float, least: float, unit: float, digits: int = 0) -> str:
        return f"{unit * most * least:.{digits}f} to {unit * most:.{digits}f}"

    return {
        "light": f"strength of the light {span(light.light, light.least_light, 100)} % off, and its place (training: "
        f"up to {100 * usual.light:.0f} %)",
        "camera": f"the front camera {span(camera.camera_position, camera.least_camera, 1000)} mm off along each axis, "
        f"and where it looks (training: up to {1000 * usual.camera_position:.0f} mm)",
        "object": f"colour channels of table, fixtures and objects {span(colour.colour, colour.least_colour, 0.5, 2)} "
        f"off (training: up to {usual.colour / 2:.2f}), and their brightness",
        "texture": "surfaces of table and objects that no scene of training has",
        "distractors": f"{SHIFTS['distractors'].distractors} things of other tasks beside the workspace; drawn only",
        "size": f"objects {span(size.size, size.least_size, 1, 1)} times as far from their usual size as training's "
        "farthest",
        "friction": f"friction of objects, pads and cloth {span(friction.friction, friction.least_friction, 100)}"
        f" % off (training: up to {100 * usual.friction:.0f} %)",
        "start": f"the arm starts {span(start.start, start.least_start, 1, 1)} times as far from the middle of its "
        "home region as training's farthest, in y, z and yaw",
    }


NAMES = (*(name for name in SHIFTS if name != UNSHIFTED), "wording", "action_delay", "picture_delay")
"""All axes."""


def axes_of(config: DictConfig) -> tuple[Axis, ...]:
    """The axes of `evaluate.axes`, in that order.

    Raises:
        ConfigError: For an unknown one, one that is named twice, a delay that is none, or settings under which the
            control arm would be changed, too, or nothing could be.
    """
    names = [str(name) for name in config.evaluate.axes]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ConfigError(f"evaluate.axes has {unknown[0]!r}, expected some of {', '.join(NAMES)}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluate.axes names one twice: {', '.join(names)}. Name each once.")
    delay = int(config.evaluate.delay)
    if delay < 1:
        raise ConfigError(f"evaluate.delay={delay} is no delay, expected at least 1 control step.")
    if str(config.robot.get("shift", UNSHIFTED)) != UNSHIFTED:
        raise ConfigError(
            f"robot.shift={config.robot.shift} would change the control arm, too. Leave it out, and name it in "
            "evaluate.axes instead."
        )
    drawn = [name for name in names if name in SHIFTS]
    if drawn and not config.robot.randomise:
        raise ConfigError(f"robot.randomise=false leaves nothing for {', '.join(drawn)} to change: leave it out.")
    return tuple(_axis(name, delay) for name in names)


def _axis(name: str, delay: int) -> Axis:
    steps = f"{delay} control step{'s' if delay > 1 else ''}"
    if name == "wording":
        return Axis(name, "instructions in sentences that training didn't have, of words that it had", rewords=True)
    if name == "action_delay":
        return Axis(name, f"actions are executed {steps} late", action_delay=delay)
    if name == "picture_delay":
        return Axis(name, f"the policy's pictures are {steps} old", picture_delay=delay)
    return Axis(name, _meanings().get(name, name), shift=name)
