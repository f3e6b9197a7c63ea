"""What every scripted expert has: a generator of steps, an unsteady hand, straight motions of the tip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from robot.control.home import action_towards
from robot.control.pose import Pose
from sim.experts.failures import BORDER, FAILURES, Failure
from sim.experts.noise import ActionNoise
from sim.tasks.task import REACH_X, REACH_Y
from sim.twin import Twin
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float32, Float64, Observation

Step = tuple[Float32, bool]
"""An action (7,) and whether it needs care (less noise)."""
_LOOKS = 4


class Expert(ABC):
    """Does a task's direction once; `act` gives the next action."""

    def __init__(
        self,
        twin: Twin,
        direction: Direction,
        rng: np.random.Generator,
        noise: float = 0.0,
        failure: Failure | None = None,
    ) -> None:
        """Prepare for an episode that is about to start.

        Args:
            twin: The world.
            direction: What to do.
            rng: Draws noise and places.
            noise: Standard deviation of the action noise; less where care is needed.
            failure: A deliberate failure, or None.

        Raises:
            ConfigError: For an unknown failure, or a task that isn't this expert's.
        """
        if failure is not None and failure not in (*FAILURES, BORDER):
            raise ConfigError(f"There is no failure {failure!r}; there are {', '.join(FAILURES)}.")
        self._twin, self._rng, self._direction = twin, rng, direction
        self._noise = ActionNoise(noise)
        self._failure = failure
        self._grip = 1.0
        self._steps: Iterator[Step] | None = None
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Look at the task and draw what is drawn beforehand.

        Raises:
            ConfigError: For a task that isn't this expert's.
        """

    def act(self, observation: Observation) -> Float32:
        """The next action, float32 (7,), with noise."""
        del observation  # a person looks at the scene, not through the robot's camera
        if self._steps is None:
            self._steps = self._skill()
        action, careful = next(self._steps)
        return self._noise.apply(action, self._rng, careful=careful)

    @abstractmethod
    def _skill(self) -> Iterator[Step]:
        """All steps of the task; begun with the first action."""

    def play(self) -> Iterator[Step]:
        """Look at the things from several poses and move them, without end."""
        while True:
            yield from self._look()
            yield from self._play_once()

    def _look(self) -> Iterator[Step]:
        """Wander above the table for a few steps."""
        for _ in range(_LOOKS):
            x, y = self._rng.uniform(*REACH_X), self._rng.uniform(*REACH_Y)
            goal = Pose.of((x, y, self._rng.uniform(0.075, 0.16)), (0.0, 0.0, self._rng.uniform(-0.6, 0.6)))
            for _ in range(2):
                scale = self._twin.env.robot_spec.action_scale
                action, arrived = action_towards(self._target, goal, scale, 1.0, self._grip > 0)
                yield action, False
                if arrived:
                    break

    @abstractmethod
    def _play_once(self) -> Iterator[Step]:
        """Move what the task is about, an object to any place; the gripper is then as the task begins with it."""

    def _rest(self) -> Iterator[Step]:
        while True:
            yield self._stay(), True

    @property
    def _target(self) -> Pose:
        return self._twin.env.target.pose

    def _level(self, xy: Float64, z: float) -> Pose:
        yaw = float(self._target.rpy[2])
        return Pose.of((float(xy[0]), float(xy[1]), z), (0.0, 0.0, yaw))

    def _stay(self) -> Float32:
        return np.array([0, 0, 0, 0, 0, 0, self._grip], dtype=np.float32)

    def _approach(self, goal: Callable[[], Pose], *, careful: bool, tolerance: float) -> Iterator[Step]:
        """Straight towards `goal()` until the target is within `tolerance` (m) of it; at least one step."""
        for _ in range(14):
            wanted = goal()
            speed = 0.7 if careful else 1.0
            action, _ = action_towards(
                self._target, wanted, self._twin.env.robot_spec.action_scale, speed, self._grip > 0
            )
            yield action, careful
            miss = np.abs(goal().position - self._target.position)
            if float(miss.max()) < tolerance:
                return
