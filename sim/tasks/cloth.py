"""What tasks with a cloth have in common: who lets go, what rests, what is out of reach."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.scene.cloth import RADIUS, ROWS
from sim.scene.cloth_state import Cloth
from sim.scene.scene import Scene
from sim.tasks.moving import MoveTask
from sim.tasks.predicates import FINGERS, MAX_SPEED, OPEN_COMMAND, STILL_NS
from sim.tasks.task import REACH_Y, Spread, require_spread
from trajectories.types import Direction, Float64

SETTLE_S = 2.0
STILL_CLOTH_M = 0.003
"""No node of a cloth that rests moves further than this in the time that `Task` looks ahead, m."""
FLAT_M = 0.02
"""Height of the highest node of a cloth that lies flat, folded or not, m."""
TAG_X, TAG_Y = (0.183, 0.37), (-0.15, 0.15)
REACH = (TAG_X[0], TAG_Y[0]), (TAG_X[1], TAG_Y[1])
"""Corners of where the tag can be gripped and put, m."""
_BEYOND_REACH = (0.02, 0.008)
"""How far behind and before that it can be gripped still, m."""


@dataclass(frozen=True)
class ClothTask(MoveTask):
    """A task in which a cloth is moved by its tag; `object` is the cloth."""

    def success(self, scene: Scene, direction: Direction) -> bool:
        """Whether the cloth stays at its goal with the gripper commanded open and off it."""
        if scene.physics.gripper_goal() < OPEN_COMMAND or not self.at_goal(scene, direction):
            return False
        return not scene.cloth.touched_by(*FINGERS) and self.stays(scene, direction)

    def stays(self, scene: Scene, direction: Direction) -> bool:
        """Whether a cloth that is at its goal stays there: it rests.

        "Rests" looks ahead, as in `Task.success`: in the next 0.4 s no node moves by more than 3 mm.
        """
        del direction
        cloth = scene.cloth
        if cloth.speed() > MAX_SPEED:
            return False
        moved = np.linalg.norm(cloth.nodes(STILL_NS) - cloth.nodes(), axis=-1)
        return float(moved.max()) < STILL_CLOTH_M

    @abstractmethod
    def at_goal(self, scene: Scene, direction: Direction) -> bool:
        """Whether the cloth lies as `direction` wants it, whatever the gripper does."""

    def hides(self, scene: Scene, direction: Direction) -> bool:
        """Whether the hand hides from who looks from the front whether `direction` is done: it had better go away."""
        del scene, direction
        return False

    @abstractmethod
    def tag_goal(self, scene: Scene, direction: Direction) -> Float64:
        """(2,) m where the tag has to be laid."""

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None: the tag is out of reach."""
        x, y, _ = scene.cloth.tag()
        if not (TAG_X[0] - _BEYOND_REACH[0] <= x <= TAG_X[1] + _BEYOND_REACH[1] and REACH_Y[0] <= y <= REACH_Y[1]):
            return f"the {self.noun}'s tag left the workspace"
        return None

    def place_start(self, scene: Scene, rng: np.random.Generator, direction: Direction, spread: Spread) -> None:
        """Put cloth and objects where an episode of `direction` may begin, at rest.

        "narrow" starts are what the other direction leaves; half of the "wide" ones are on the way there.

        Raises:
            ConfigError: For another spread.
        """
        require_spread(spread)
        self.arrange(scene, rng, direction, wide=spread == "wide")

    @abstractmethod
    def arrange(self, scene: Scene, rng: np.random.Generator, direction: Direction, *, wide: bool) -> None:
        """Draw a start of `direction`; see `place_start`."""


def in_folds(cloth: Cloth, xy: tuple[float, float], yaw: float, order: Sequence[int]) -> Float64:
    """Nodes of the cloth lying in folds across its x axis.

    Args:
        cloth: The cloth.
        xy: Where its middle would be if it lay flat, m.
        yaw: How it is turned, rad.
        order: (ROWS,) above which row of the flat cloth each of its rows lies; neighbours differ by one.

    Returns:
        float64 (ROWS, COLUMNS, 3) m; see `Cloth.put`.
    """
    flat = cloth.lay(xy, yaw)
    nodes = flat[list(order)].copy()
    turns = [order[k] != 2 * order[k - 1] - order[k - 2] for k in range(2, ROWS)]
    layers = np.concatenate([[0, 0], np.cumsum(turns)])
    nodes[..., 2] += 2 * RADIUS * layers[:, None]
    return nodes


def half_folded(row: int) -> list[int]:
    """The order, as of `in_folds`, of a cloth folded over at a row; at the last row it is flat."""
    return [min(index, 2 * row - index) for index in range(ROWS)]
