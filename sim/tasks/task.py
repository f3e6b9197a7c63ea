"""What a task is: a scene, two instructions that undo each other, starts, and what counts as done in the physics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np

from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float64

Skill = Literal["pick", "push", "lift", "stack", "door", "cloth"]
Spread = Literal["narrow", "wide"]
Role = Literal["target", "prior"]

REACH_X = (0.205, 0.355)
"""Where objects can be reached, m."""
REACH_Y = (-0.175, 0.175)


class Task(Protocol):
    """A task of the twin, whatever its scene and success are made of.

    `sim.tasks.moving.MoveTask` moves one object to a place; a description in words (`sim.tasks.described`) becomes one,
    too. Predicates that tasks share are in `sim.tasks.predicates`. They are for evaluation, resets and scripted experts
    only: nothing learns from them.
    """

    @property
    def name(self) -> str:
        """Name in records and folders, e.g. "pot_pick_place"."""
        ...

    @property
    def role(self) -> Role:
        """Say "target" of what people fine-tune, "prior" of what prior data is recorded of."""
        ...

    @property
    def scene(self) -> SceneSpec:
        """Table, fixtures and objects."""
        ...

    @property
    def instructions(self) -> Mapping[Direction, tuple[str, ...]]:
        """Direction -> wordings that mean the same."""
        ...

    @property
    def skill(self) -> str:
        """Which scripted expert does it, see `sim.experts.choice`."""
        ...

    @property
    def ends_open(self) -> bool:
        """Whether it is done only once the gripper is commanded open and off what it moved."""
        ...

    @property
    def tool(self) -> str:
        """Name of the object that is in the gripper from the start and stays there, also between episodes; or ""."""
        ...

    @property
    def parts(self) -> int:
        """How many parts are done one by one, e.g. 7 candies; 1 where it is done or not."""
        ...

    def success(self, scene: Scene, direction: Direction) -> bool:
        """Whether `direction` is done: all parts of it, at rest."""
        ...

    def reached(self, scene: Scene, direction: Direction) -> int:
        """How many of the parts are where they belong now, moving or not: 0 ... `parts`."""
        ...

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None."""
        ...

    def place_start(self, scene: Scene, rng: np.random.Generator, direction: Direction, spread: Spread) -> None:
        """Put every object where an episode of `direction` may begin.

        Args:
            scene: Already randomised.
            rng: Draws the places.
            direction: "forward" or "backward".
            spread: "narrow": as the other direction leaves it. "wide": half of the time otherwise.

        Raises:
            ConfigError: For another spread.
        """
        ...


def require_spread(spread: str) -> None:
    """Refuse a spread that there isn't.

    Raises:
        ConfigError: Naming those there are.
    """
    if spread not in ("narrow", "wide"):
        raise ConfigError(f"The spread of starts is 'narrow' or 'wide', got {spread!r}.")


def tilt(quaternion: Float64) -> float:
    """Angle between a body's z axis and up, rad."""
    _, x, y, _ = quaternion
    return math.acos(max(-1.0, min(1.0, 1.0 - 2.0 * (x * x + y * y))))


def yaw_of(quaternion: Float64) -> float:
    """Heading of a body about the vertical, rad."""
    w, x, y, z = quaternion
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
