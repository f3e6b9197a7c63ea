"""The twin's tasks by their state, as Gymnasium environments for comparing learning methods.

    import gymnasium
    env = gymnasium.make("sim.state_env:regrasp/PotPickPlaceState-v0")

The observation is what a camera would have to find out, exact: a benchmark for learners, and nothing that an arm could
have. No image is rendered, so a step takes about 2 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from sim.experts.failures import Failure
from sim.experts.scripted import ScriptedExpert
from sim.register import TwinEnv, env_id
from sim.tasks import TASKS
from sim.tasks.moving import MoveTask, moving
from sim.tasks.task import Spread, Task, yaw_of
from sim.twin import Twin
from trajectories.errors import ConfigError, SafetyError
from trajectories.types import ACTION_SIZE, PROPRIO_NAMES, Float32

AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
STATE_NAMES = (
    *PROPRIO_NAMES,
    "object_x", "object_y", "object_z",  # m, base frame
    "object_yaw_cos", "object_yaw_sin",  # of twice the yaw: the gripper can't tell half a turn
    "tip_to_object_x", "tip_to_object_y", "tip_to_object_z",  # m
    "object_to_goal_x", "object_to_goal_y", "object_to_goal_z",  # m
)  # fmt: skip


class TwinStateEnv(TwinEnv):
    """A task's forward direction with a flat observation and only the action axes that it needs.

    Observations are float32 (24,), see `STATE_NAMES`; actions float32 (len(axes),) in [-1, 1]. What the safety filter
    makes of an action is part of the dynamics here. A latched fault ends an episode as time does.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (gymnasium's own)

    def __init__(
        self,
        task: str,
        *,
        axes: Sequence[str] = AXES,
        randomise: bool = False,
        spread: Spread = "narrow",
        max_steps: int = 40,
    ) -> None:
        """Compile the task's scene.

        Args:
            task: Name in `sim.tasks.TASKS` whose goal is a fixture.
            axes: Which of `AXES` an action has, in order; the others stay 0, a missing gripper stays open.
            randomise: Whether each reset varies sizes, masses, friction and the places of fixtures.
            spread: Start distribution, "narrow" or "wide".
            max_steps: Control steps after which an episode is truncated.

        Raises:
            ConfigError: For an unknown task, axis or spread, or a task whose goal is another object or several.
        """
        unknown = [axis for axis in axes if axis not in AXES]
        if unknown or not axes or len(set(axes)) != len(axes):
            raise ConfigError(f"An action of axes {list(axes)} makes no sense; expected different ones of {AXES}.")
        super().__init__(task, cameras=(), randomise=randomise, spread=spread, max_steps=max_steps)
        if not moving(self._twin.task).goals["forward"].fixture:
            raise ConfigError(f"{task} has no fixed goal, so that its state has no place for it; choose another task.")
        self._columns = [AXES.index(axis) for axis in axes]
        size = len(STATE_NAMES)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)  # type: ignore[assignment]
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(axes),), np.float32)  # type: ignore[assignment]

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        """A new scene in a start state of the forward direction.

        Args:
            seed: Of everything random from here on.
            options: None.
        """
        super().reset(seed=seed, options=options)
        return self._observation(), {"success": False}

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """One control step; reward -1, or 0 with the success that ends the episode."""
        whole = np.zeros(ACTION_SIZE, np.float32)
        whole[-1] = 1.0
        whole[self._columns] = action
        try:
            _, reward, terminated, truncated, info = super().step(whole)
        except SafetyError as error:
            return self._observation(), -1.0, False, True, {"success": False, "fault": str(error)}
        return self._observation(), reward, terminated, truncated, {"success": info["success"]}

    def expert(self, rng: np.random.Generator, noise: float, failure: Failure | None) -> StateExpert:
        """A scripted expert for the episode that has just begun.

        Args:
            rng: Draws noise and places.
            noise: Standard deviation of its action noise.
            failure: A deliberate failure, or None.
        """
        return StateExpert(self._twin, rng, noise, failure, self._columns)

    def _observation(self) -> Float32:  # type: ignore[override]
        task, scene = moving(self._twin.task), self._twin.scene
        position, quaternion = scene.physics.body_pose(task.object)
        goal = scene.fixture(task.goals["forward"].fixture).position
        proprio = self._twin.env.observe().proprio
        yaw = 2.0 * yaw_of(quaternion)
        return np.concatenate(
            [proprio, position, [math.cos(yaw), math.sin(yaw)], position - proprio[:3], goal - position]
        ).astype(np.float32)


class StateExpert:
    """`ScriptedExpert` with the actions of a `TwinStateEnv`."""

    def __init__(
        self, twin: Twin, rng: np.random.Generator, noise: float, failure: Failure | None, columns: list[int]
    ) -> None:
        self._expert = ScriptedExpert(twin, "forward", rng, noise=noise, failure=failure)
        self._robot, self._columns = twin.env, columns

    def act(self) -> Float32:
        """The next action, float32 (len(axes),), with noise; the expert looks at the scene itself."""
        return self._expert.act(self._robot.observe())[self._columns]


def state_env_id(task: str) -> str:
    """Gymnasium id of a task's state environment, e.g. "regrasp/PushPuckState-v0" of "push_puck"."""
    return env_id(task, "State")


def has_fixed_goal(task: Task) -> bool:
    """Whether a task moves one object to a fixture, so that a `TwinStateEnv` of it can be made."""
    return isinstance(task, MoveTask) and bool(task.goals["forward"].fixture)


def register_all() -> tuple[str, ...]:
    """Register every task with a fixed goal (again is harmless); returns the ids.

    Tasks of packages outside are registered unseen: one without a fixed goal is refused when it is made.
    """
    fixed = [name for name in TASKS.own if has_fixed_goal(TASKS[name])]
    names = [*fixed, *(name for name in TASKS if name not in TASKS.own)]
    for name in names:
        if state_env_id(name) not in gymnasium.registry:
            gymnasium.register(state_env_id(name), entry_point="sim.state_env:TwinStateEnv", kwargs={"task": name})
    return tuple(state_env_id(name) for name in names)


register_all()
