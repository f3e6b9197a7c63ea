"""robosuite's tasks that are done and undone, for a session without resets; robosuite itself isn't imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot.control.home import HomeRegion
from sim.scene.spec import SceneSpec
from sim.tasks.moving import Goal, MoveTask
from sim.tasks.predicates import FINGERS, HEIGHT_TOLERANCE
from sim.tasks.priors import STACK_CUBE
from sim.tasks.task import Spread, require_spread, yaw_of
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction, Float64

_CLOSED_RAD = 0.03
_OPENED_RAD = (0.32, 0.38)
"""rad of the door's hinge: shut, and where an episode begins that is to shut it."""
_NEARLY_SQUARE = 0.25
"""rad."""
_EMPTY = SceneSpec((), ())


@dataclass(frozen=True)
class RobosuiteTask(MoveTask):
    """A task in one of robosuite's environments, judged by its own check.

    Attributes:
        environment: robosuite's name.
        settings: For its constructor.
        bodies: Object -> name of its attribute in the environment.
        limits: Safety limits that differ from the arm's own.
        home: Where episodes start; None takes the arm's own.
        front: Where the camera "front" is and what it looks at, m in the arm's base frame.
    """

    environment: str = ""
    settings: Mapping[str, Any] | None = None
    bodies: Mapping[str, str] | None = None
    limits: tuple[tuple[str, Any], ...] = ()
    home: HomeRegion | None = None
    front: tuple[tuple[float, ...], tuple[float, ...]] = ((0.66, 0.0, 0.36), (0.27, 0.0, 0.05))

    def success(self, scene: Any, direction: Direction) -> bool:
        """Forward: robosuite's own check. Backward: it fails, and the object stands on the table, let go."""
        checked = bool(scene.checked())
        if direction == "forward":
            return checked
        return not checked and self._put_down(scene)

    def at_goal(self, scene: Any, direction: Direction) -> bool:
        """The same: robosuite's check doesn't look at the gripper alone."""
        return self.success(scene, direction)

    def _put_down(self, scene: Any) -> bool:
        physics = scene.physics
        position, _ = physics.body_pose(self.object)
        held = any(physics.in_contact(self.object, finger) for finger in FINGERS)
        return abs(float(position[2])) < HEIGHT_TOLERANCE and not held

    def goal_place(self, scene: Any, rng: np.random.Generator, goal: Goal) -> Float64 | None:
        """(2,) m anywhere free on the table; None: on top of the goal's object."""
        return None if goal.on_top_of else self.free_place(scene, rng, self.object, avoid="")

    def place_start(self, scene: Any, rng: np.random.Generator, direction: Direction, spread: Spread) -> None:
        """Where robosuite's own reset put things; backward, what forward leaves.

        "narrow" turns the cubes so that they stand square to the arm, up to `_NEARLY_SQUARE`; robosuite's own stand
        anyhow.

        Raises:
            ConfigError: For another spread.
        """
        require_spread(spread)
        if spread == "narrow":
            for name in self.bodies or {}:
                scene.place(name, scene.physics.body_pose(name)[0], float(rng.uniform(-_NEARLY_SQUARE, _NEARLY_SQUARE)))
        if direction == "backward":
            _UNDONE[self.skill](self, scene, rng)


def _in_the_gripper(task: RobosuiteTask, scene: Any, rng: np.random.Generator) -> None:
    """The object between the closed fingers, where the arm is."""
    physics, width = scene.physics, scene.object(task.object).grasp_width
    physics.set_arm(physics.data.qpos[: physics.arm.size].copy(), width)
    tip = physics.tip_position()
    forward = physics.tip_rotation()[:, 1]  # across the fingers
    yaw = float(np.arctan2(forward[1], forward[0]))
    scene.place(task.object, tip - [0.0, 0.0, scene.object(task.object).half_extent[0]], yaw)
    physics.data.ctrl[physics.arm.size] = 0.0


def _on_the_other(task: RobosuiteTask, scene: Any, rng: np.random.Generator) -> None:
    base = task.goals["forward"].on_top_of
    position, quaternion = scene.physics.body_pose(base)
    above = np.array([*position[:2], position[2] + scene.object(base).height + 0.0005])
    above[:2] += rng.uniform(-0.004, 0.004, 2)
    scene.place(task.object, above, yaw_of(quaternion) + float(rng.uniform(-0.2, 0.2)))


def _opened(task: RobosuiteTask, scene: Any, rng: np.random.Generator) -> None:
    scene.set_hinge(float(rng.uniform(*_OPENED_RAD)))


_UNDONE: Mapping[str, Callable[[RobosuiteTask, Any, np.random.Generator], None]] = {
    "lift": _in_the_gripper,
    "stack": _on_the_other,
    "door": _opened,
}


@dataclass(frozen=True)
class DoorTask(RobosuiteTask):
    """The door: backward it is to be shut."""

    def _put_down(self, scene: Any) -> bool:
        return float(scene.hinge()) < _CLOSED_RAD

    def goal_place(self, scene: Any, rng: np.random.Generator, goal: Goal) -> Float64 | None:
        """None: the door has no place to be put."""
        return None

    def free_place(self, scene: Any, rng: np.random.Generator, name: str, avoid: str) -> Float64:
        """The hinge: the door has no other place."""
        return scene.door()[0]

    def lost(self, scene: Any) -> str | None:
        """Nothing can get lost: the door hangs in its frame."""
        return None


# Words that the small text tower which ships with Regrasp has learned; for the door it has none.
LIFT = RobosuiteTask(
    name="robosuite_lift",
    role="target",
    scene=_EMPTY,
    object="cube",
    noun="cube",
    goals={"forward": Goal("in the air"), "backward": Goal("on the table")},
    instructions={
        "forward": ("pick up the cube", "take the cube up in the air"),
        "backward": ("put the cube on the table", "place the cube on the table"),
    },
    skill="lift",
    environment="Lift",
    bodies={"cube": "cube"},
)
STACK = RobosuiteTask(
    name="robosuite_stack",
    role="target",
    scene=_EMPTY,
    object="cube",
    noun="cube",
    goals={"forward": Goal("on top of the block", on_top_of="block"), "backward": Goal("on the table")},
    instructions={
        "forward": STACK_CUBE.instructions["forward"],
        "backward": (
            "put the cube on the table",
            "place the cube on the table",
            "set the cube on the table",
            "move the cube so that it is on the table",
        ),
    },
    skill="stack",
    environment="Stack",
    bodies={"cube": "cubeA", "block": "cubeB"},
)
DOOR = DoorTask(
    name="robosuite_door",
    role="target",
    scene=_EMPTY,
    object="door",
    noun="door",
    goals={"forward": Goal("open"), "backward": Goal("shut")},
    instructions={
        "forward": ("open the door", "pull the door open", "swing the door open"),
        "backward": ("close the door", "push the door shut", "shut the door"),
    },
    skill="door",
    environment="Door",
    settings={"use_latch": False},
    bodies={},
    limits=(("position_lower", (0.18, -0.2, 0.012)), ("position_upper", (0.40, 0.24, 0.34))),
    home=HomeRegion(x=(0.22, 0.28), y=(0.08, 0.14), z=(0.28, 0.30), rise_z=0.31),
    front=((0.70, 0.45, 0.62), (0.24, 0.0, 0.24)),
)
ROBOSUITE_TASKS: Mapping[str, RobosuiteTask] = {task.name: task for task in (LIFT, STACK, DOOR)}


def find_robosuite_task(name: str) -> RobosuiteTask:
    """The task of that name.

    Raises:
        ConfigError: With those there are.
    """
    if name not in ROBOSUITE_TASKS:
        raise ConfigError(f"There is no task {name!r} in robosuite's world; there are {', '.join(ROBOSUITE_TASKS)}.")
    task = ROBOSUITE_TASKS[name]
    assert set(task.goals) == set(DIRECTIONS)
    return task
