"""What a task is: a scene, two instructions that undo each other, and predicates of the physics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float64, other_direction

Skill = Literal["pick", "push", "lift", "stack", "door"]
Spread = Literal["narrow", "wide"]

REACH_X = (0.205, 0.355)
"""Where objects can be reached, m."""
REACH_Y = (-0.175, 0.175)
MAX_TILT = math.radians(20)
MAX_SPEED = 0.03
"""Of an object that rests, m/s."""
STILL_NS, STILL_M, STILL_TILT = 400_000_000, 0.002, math.radians(2)
"""An object that rests moves and tilts by less than this in the time that follows, ns, m, rad."""
OVERHANG = 0.002
"""How far an object may stick out over the edge of the surface that it stands on, m."""
HEIGHT_TOLERANCE = 0.006
FINGERS = ("left_finger_link", "right_finger_link")
OPEN_COMMAND = 0.030
"""Finger gap asked for (m) from which the gripper counts as commanded open."""


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


@dataclass(frozen=True)
class Task:
    """A task of the twin.

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
    """

    name: str
    role: Literal["target", "prior"]
    scene: SceneSpec
    object: str
    noun: str
    goals: Mapping[Direction, Goal]
    instructions: Mapping[Direction, tuple[str, ...]]
    skill: Skill = "pick"
    ends_open: bool = True

    def start_of(self, direction: Direction) -> Goal:
        """Where the object is when `direction` begins."""
        return self.goals[other_direction(direction)]

    # -- predicates (evaluation, resets and scripted experts only) -------------------------------------------------
    def success(self, scene: Scene, direction: Direction) -> bool:
        """Whether the object rests at the goal, upright, with the gripper commanded open and off the object.

        Of a task that doesn't end open the gripper is not asked.

        "Rests" looks ahead: in the next 0.4 s, the servos keeping their goals, it moves by less than 2 mm and tilts by
        less than 2 degrees. An object in the middle of falling over, sliding or rocking is slow for an instant, too.
        """
        physics = scene.physics
        if (self.ends_open and physics.gripper_goal() < OPEN_COMMAND) or not self.at_goal(scene, direction):
            return False
        if float(np.abs(physics.body_velocity(self.object)[:3]).max()) > MAX_SPEED:
            return False
        if self.ends_open and any(physics.in_contact(self.object, finger) for finger in FINGERS):
            return False
        position, quaternion = physics.body_pose(self.object)
        later, turned = physics.foresee(self.object, STILL_NS)
        return math.dist(position, later) < STILL_M and abs(tilt(turned) - tilt(quaternion)) < STILL_TILT

    def at_goal(self, scene: Scene, direction: Direction) -> bool:
        """Whether the object stands at the goal, wholly on its surface, whatever the gripper does."""
        goal = self.goals[direction]
        position, quaternion = scene.physics.body_pose(self.object)
        if tilt(quaternion) > MAX_TILT:
            return False
        if goal.on_top_of:
            base, _ = scene.physics.body_pose(goal.on_top_of)
            below = scene.object(goal.on_top_of)
            room = 0.8 * min(below.half_extent)
            if goal.covering:
                room = min(scene.object(self.object).half_extent) - max(below.half_extent)
            near = math.dist(base[:2], position[:2]) < room
            return near and abs(position[2] - base[2] - below.height) < HEIGHT_TOLERANCE
        fixture, item = scene.fixture(goal.fixture), scene.object(self.object)
        x, y, z = (float(value) for value in position)
        standing = abs(z - fixture.floor_height) < HEIGHT_TOLERANCE
        return standing and item.inside(fixture, x, y, yaw_of(quaternion), OVERHANG)

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None: the object is out of reach or has fallen over."""
        for name in (self.object, *self._bases()):
            position, quaternion = scene.physics.body_pose(name)
            if not (
                REACH_X[0] - 0.02 <= position[0] <= REACH_X[1] + 0.02
                and REACH_Y[0] - 0.02 <= position[1] <= REACH_Y[1] + 0.02
            ):
                return f"the {self.noun if name == self.object else name} left the workspace"
            if tilt(quaternion) > math.radians(50):
                return f"the {self.noun if name == self.object else name} fell over"
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
        if spread not in ("narrow", "wide"):
            raise ConfigError(f"The spread of starts is 'narrow' or 'wide', got {spread!r}.")
        start = self.start_of(direction)
        places = next((goal.fixture for goal in self.goals.values() if goal.fixture), "")
        for base in self._bases():
            self._place(scene, base, self.free_place(scene, rng, base, avoid=places), rng)
        if spread == "wide" and rng.random() < 0.5:
            xy: Float64 | None = self.free_place(scene, rng, self.object, avoid=self.goals[direction].fixture)
        else:
            xy = self.goal_place(scene, rng, start)
        self._place(scene, self.object, xy, rng, start.on_top_of if xy is None else "")

    def goal_place(self, scene: Scene, rng: np.random.Generator, goal: Goal) -> Float64 | None:
        """(2,) m, drawn on the goal's surface so that the whole object fits; None: on top of the goal's object."""
        if goal.on_top_of:
            return None
        fixture, item = scene.fixture(goal.fixture), scene.object(self.object)
        margin = max(item.half_extent) + 0.006
        room = [max(0.004, extent - margin) for extent in fixture.half_extent]
        if fixture.is_round:
            angle, radius = rng.uniform(0, 2 * math.pi), room[0] * math.sqrt(rng.random())
            return fixture.position[:2] + np.array([radius * math.cos(angle), radius * math.sin(angle)])
        return fixture.point(rng.uniform(-room[0], room[0]), rng.uniform(-room[1], room[1]))

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
                inside = fixture.contains(x, y, radius + 0.004)
                touches = fixture.contains(x, y, -(radius + 0.014)) and fixture.rim_height > 0.003
                flat &= not ((touches and not inside) or (spec.name == avoid and fixture.contains(x, y, -radius)))
            if flat and all(math.dist((x, y), other[:2]) > 0.06 for other in others):
                return np.array([x, y])
        raise ConfigError(f"The scene of {self.name} leaves no room to put the {name} down.")

    def _place(
        self, scene: Scene, name: str, xy: Float64 | None, rng: np.random.Generator, on_top_of: str = ""
    ) -> None:
        yaw = float(rng.uniform(-0.9, 0.9))
        if xy is None:
            base, _ = scene.physics.body_pose(on_top_of)
            scene.place(name, (base[0], base[1], base[2] + scene.object(on_top_of).height + 0.0005), yaw)
        else:
            scene.place(name, (xy[0], xy[1], scene.surface_height(xy[0], xy[1]) + 0.0005), yaw)


def tilt(quaternion: Float64) -> float:
    """Angle between a body's z axis and up, rad."""
    _, x, y, _ = quaternion
    return math.acos(max(-1.0, min(1.0, 1.0 - 2.0 * (x * x + y * y))))


def yaw_of(quaternion: Float64) -> float:
    """Heading of a body about the vertical, rad."""
    w, x, y, z = quaternion
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
