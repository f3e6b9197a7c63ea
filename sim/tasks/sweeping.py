"""Tasks that sweep several things to one side of a tray with a board that stays in the gripper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.tasks.predicates import at_rest, held, swept
from sim.tasks.task import Role, Spread, require_spread
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float64, other_direction

_DEPTH, _WIDTH = 0.032, 0.066
"""How deep a side's starts are, and how far they reach to the left and the right, m."""
_APART = 0.021
"""Between the middles of two things that are put down, m."""
_WALL = 0.026
"""Between a wall and the middle of what is put down, m: the board fits in between."""


@dataclass(frozen=True)
class SweepTask:
    """A `Task` that sweeps things to one side of a tray; backward sweeps them to the other.

    It is counted in parts: every thing is one. Done is with all of them on that side and the board in the gripper.

    Attributes:
        name: E.g. "candy_sweeping".
        role: See `Task`.
        scene: A tray, the things, and the board.
        tray: Name of the fixture.
        things: Names of what is swept.
        tool: Name of the board, in the gripper from the start.
        sides: Direction -> where to: 1 where the tray's x axis points, -1 the other side.
        beyond: How far from the tray's middle a side begins, m.
        instructions: Direction -> wordings.
    """

    name: str
    role: Role
    scene: SceneSpec
    tray: str
    things: tuple[str, ...]
    tool: str
    sides: Mapping[Direction, int]
    beyond: float
    instructions: Mapping[Direction, tuple[str, ...]]

    @property
    def skill(self) -> str:
        """Sweep."""
        return "sweep"

    @property
    def ends_open(self) -> bool:
        """Never: the board stays in the gripper."""
        return False

    @property
    def parts(self) -> int:
        """The number of things."""
        return len(self.things)

    def success(self, scene: Scene, direction: Direction) -> bool:
        """Whether all things lie still on the side of `direction` and the board is in the gripper."""
        done = self.reached(scene, direction) == self.parts and held(scene, self.tool)
        return done and at_rest(scene, self.things)

    def reached(self, scene: Scene, direction: Direction) -> int:
        """How many of the things are on the side of `direction` now."""
        return swept(scene, self.things, self.tray, self.sides[direction], self.beyond)

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None: the board isn't in the gripper, or a thing left the tray."""
        if not held(scene, self.tool):
            return f"the {self.tool} is not in the gripper"
        tray = scene.fixture(self.tray)
        for name in self.things:
            x, y, _ = scene.physics.body_pose(name)[0]
            if not tray.contains(float(x), float(y)):
                return f"a {scene.object(name).kind} left the {self.tray}"
        return None

    def place_start(self, scene: Scene, rng: np.random.Generator, direction: Direction, spread: Spread) -> None:
        """Put the board into the gripper and scatter the things.

        Args:
            scene: Already randomised.
            rng: Draws the places.
            direction: "forward" or "backward".
            spread: "narrow": all on the other side. "wide": half of the time about half of them anywhere in the tray.

        Raises:
            ConfigError: For another spread.
        """
        require_spread(spread)
        scene.hand(self.tool)
        tray, side = scene.fixture(self.tray), self.sides[other_direction(direction)]
        astray = rng.random(self.parts) < (0.5 if spread == "wide" and rng.random() < 0.5 else 0.0)
        astray[int(rng.integers(self.parts))] = False  # something is left to be done
        places: list[Float64] = []
        for name, anywhere in zip(self.things, astray, strict=True):
            places.append(self._free(rng, places, 0 if anywhere else side, tray.half_extent))
            x, y = tray.point(*places[-1])
            scene.place(name, (x, y, tray.floor_height + 0.0005), float(rng.uniform(-math.pi, math.pi)))

    def _free(
        self, rng: np.random.Generator, taken: list[Float64], side: int, half_extent: tuple[float, float]
    ) -> Float64:
        """(2,) m along the tray's axes, on a side of it or, with 0, anywhere, and away from the places taken."""
        least, most = self.beyond + 0.006, self.beyond + 0.006 + _DEPTH
        for _ in range(1000):
            if side:
                place = np.array([side * rng.uniform(least, most), rng.uniform(-_WIDTH, _WIDTH)])
            else:
                place = np.array([rng.uniform(_WALL - half, half - _WALL) for half in half_extent])
            if all(math.dist(place, other) > _APART for other in taken):
                return place
        raise ConfigError(f"The tray of {self.name} leaves no room for {len(taken) + 1} things.")


def _wordings(how: str, where: str, origin: str) -> tuple[str, ...]:
    return (
        f"{how} the candy to the {where} of the tray",
        f"use the board to {how} the candy to the {where} of the tray",
        f"{how} all the candy over to the {where} of the tray",
        f"push the candy from the {origin} to the {where} of the tray",
    )


_CANDY = {"white": (0.92, 0.92, 0.88), "green": (0.25, 0.60, 0.25), "brown": (0.42, 0.26, 0.16)}
_CANDIES = ("white", "green", "brown", "white", "green", "brown", "white")

CANDY_SWEEPING = SweepTask(
    name="candy_sweeping",
    role="target",
    scene=SceneSpec(
        (FixtureSpec("tray", "tray", (0.275, 0.0), jitter=0.004),),
        (
            ObjectSpec("board", "board", (0.28, 0.16), size=(1.0, 1.0)),
            *(
                ObjectSpec(f"candy{number}", "candy", (0.275, 0.022 * (number - 3)), colour=_CANDY[colour])
                for number, colour in enumerate(_CANDIES)
            ),
        ),
    ),
    tray="tray",
    things=tuple(f"candy{number}" for number in range(len(_CANDIES))),
    tool="board",
    sides={"forward": -1, "backward": 1},
    beyond=0.020,
    instructions={
        "forward": _wordings("sweep", "far side", "near side"),
        "backward": _wordings("sweep", "near side", "far side"),
    },
)
"""Far is seen from the camera: the robot's side."""
