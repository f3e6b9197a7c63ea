"""Tasks that move one object to a place and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from sim.tasks.predicates import at_rest, covered, inside, let_go, on, why_lost
from sim.tasks.task import REACH_X, REACH_Y, Role, Skill, Spread, Task, require_spread
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float64, other_direction


@dataclass(frozen=True)
class Goal:
    """Where the object has to be at the end: on a fixture's surface or on another object.

    Attributes:
        fixture: Name of the fixture, or "".
        on_top_of: Name of the object to stand on, or "".
        covering: Whether that object has to disappear below it, seen from above.
        phrase: In words, e.g. "in the sink".
    """

    phrase: str
    fixture: str = ""
    on_top_of: str = ""
    covering: bool = False

    def holds(self, scene: Scene, name: str) -> bool:
        """Whether an object is there, whatever the gripper does."""
        if self.covering:
            return covered(scene, self.on_top_of, name)
        return on(scene, name, self.on_top_of) if self.on_top_of else inside(scene, name, self.fixture)


@dataclass(frozen=True)
class MoveTask:
    """A `Task` that moves one object to a place; backward returns it.

    Attributes:
        name: E.g. "pot_pick_place".
        role: "target": what people fine-tune; "prior": what prior data is recorded of.
        scene: Table, fixtures and objects.
        object: Name of the object that is moved.
        noun: What instructions call it.
        goals: Direction -> where the object has to be; the start of a direction is the other's goal.
        instructions: Direction -> wordings that mean the same.
        skill: How the scripted expert moves the object.
        ends_open: Whether it is done only once the gripper is commanded open and off the object.
        stands: Name of an object that is put something on -> name of the fixture that it stands on and belongs to;
            others stand anywhere.
        apart: Least distance of the middle of what stands anywhere from that of what it is put on, m.
    """

    name: str
    role: Role
    scene: SceneSpec
    object: str
    noun: str
    goals: Mapping[Direction, Goal]
    instructions: Mapping[Direction, tuple[str, ...]]
    skill: Skill = "pick"
    ends_open: bool = True
    stands: Mapping[str, str] = field(default_factory=dict)
    apart: float = 0.06

    @property
    def tool(self) -> str:
        """None: the gripper is empty at the start."""
        return ""

    @property
    def parts(self) -> int:
        """1: the object is at the goal or not."""
        return 1

    def start_of(self, direction: Direction) -> Goal:
        """Where the object is when `direction` begins."""
        return self.goals[other_direction(direction)]

    # -- predicates (evaluation, resets and scripted experts only) -------------------------------------------------
    def success(self, scene: Scene, direction: Direction) -> bool:
        """Whether the object rests at the goal, upright, with the gripper commanded open and off the object.

        Of a task that doesn't end open the gripper is not asked.
        """
        if self.ends_open and not let_go(scene, self.object):
            return False
        return self.at_goal(scene, direction) and at_rest(scene, [self.object])

    def at_goal(self, scene: Scene, direction: Direction) -> bool:
        """Whether the object stands at the goal, wholly on its surface, whatever the gripper does."""
        standing = all(inside(scene, base, fixture) for base, fixture in self.stands.items())
        return standing and self.goals[direction].holds(scene, self.object)

    def reached(self, scene: Scene, direction: Direction) -> int:
        """1 where the object is at the goal, or 0."""
        return int(self.at_goal(scene, direction))

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None: the object is out of reach or has fallen over."""
        for name in (self.object, *self._bases()):
            reason = why_lost(scene, name, self.noun if name == self.object else name)
            if reason is not None:
                return reason
        for base, fixture in self.stands.items():
            if not inside(scene, base, fixture):
                return f"the {base} was moved out of its place in the {fixture}"
        return None

    def _bases(self) -> tuple[str, ...]:
        return tuple(goal.on_top_of for goal in self.goals.values() if goal.on_top_of)

    # -- starts ----------------------------------------------------------------------------------------------------
    def place_start(self, scene: Scene, rng: np.random.Generator, direction: Direction, spread: Spread) -> None:
        """Put every object where an episode of `direction` may begin.

        Args:
            scene: Already randomised.
            rng: Draws the places.
            direction: "forward" or "backward".
            spread: "narrow": at the start place. "wide": half of the time anywhere reachable but the goal.

        Raises:
            ConfigError: For another spread.
        """
        require_spread(spread)
        start = self.start_of(direction)
        places = next((goal.fixture for goal in self.goals.values() if goal.fixture), "")
        for base in self._bases():
            if base in self.stands:
                place = surface_place(scene, rng, base, self.stands[base])
            else:
                place = self.free_place(scene, rng, base, avoid=places)
            self._place(scene, base, place, rng)
        if spread == "wide" and rng.random() < 0.5:
            xy: Float64 | None = self.free_place(scene, rng, self.object, avoid=self.goals[direction].fixture)
        else:
            xy = self.goal_place(scene, rng, start)
        self._place(scene, self.object, xy, rng, start.on_top_of if xy is None else "")

    def goal_place(self, scene: Scene, rng: np.random.Generator, goal: Goal) -> Float64 | None:
        """(2,) m, drawn on the goal's surface so that the whole object fits; None: on top of the goal's object."""
        if goal.on_top_of:
            return None
        return surface_place(scene, rng, self.object, goal.fixture)

    def free_place(self, scene: Scene, rng: np.random.Generator, name: str, avoid: str) -> Float64:
        """(2,) m, anywhere reachable where the object stands flat: wholly on or wholly off each fixture.

        Args:
            scene: The scene.
            rng: Draws the place.
            name: Which object.
            avoid: Fixture to keep off, or "".
        """
        radius = max(scene.object(name).half_extent)
        others = [scene.physics.body_pose(other)[0] for other in self._bases() if other != name]
        for _ in range(300):
            x, y = rng.uniform(*REACH_X), rng.uniform(*REACH_Y)
            flat = True
            for spec in self.scene.fixtures:
                fixture = scene.fixture(spec.name)
                within = fixture.contains(x, y, radius + 0.004)
                touches = fixture.contains(x, y, -(radius + 0.014)) and fixture.rim_height > 0.003
                flat &= not ((touches and not within) or (spec.name == avoid and fixture.contains(x, y, -radius)))
            if flat and all(math.dist((x, y), other[:2]) > self.apart for other in others):
                return np.array([x, y])
        raise ConfigError(f"The scene of {self.name} leaves no room to put the {name} down.")

    def _place(
        self, scene: Scene, name: str, xy: Float64 | None, rng: np.random.Generator, on_top_of: str = ""
    ) -> None:
        yaw = float(rng.uniform(-0.9, 0.9))
        if xy is None:
            base, _ = scene.physics.body_pose(on_top_of)
            scene.place(
                name, (base[0], base[1], base[2] + scene.object(name).height_on(scene.object(on_top_of)) + 0.0005), yaw
            )
        else:
            scene.place(name, (xy[0], xy[1], scene.surface_height(xy[0], xy[1]) + 0.0005), yaw)


def surface_place(scene: Scene, rng: np.random.Generator, name: str, fixture: str) -> Float64:
    """(2,) m, drawn on a fixture's surface so that a whole object fits."""
    place, item = scene.fixture(fixture), scene.object(name)
    margin = max(item.half_extent) + 0.006
    room = [max(0.004, extent - margin) for extent in place.half_extent]
    if place.is_round:
        angle, radius = rng.uniform(0, 2 * math.pi), room[0] * math.sqrt(rng.random())
        return place.position[:2] + np.array([radius * math.cos(angle), radius * math.sin(angle)])
    return place.point(rng.uniform(-room[0], room[0]), rng.uniform(-room[1], room[1]))


def moving(task: Task) -> MoveTask:
    """The task as one that moves a single object.

    Raises:
        ConfigError: It moves several, or none.
    """
    if not isinstance(task, MoveTask):
        raise ConfigError(f"{task.name} doesn't move a single object to a place; choose a task that does.")
    return task
