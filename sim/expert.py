"""A scripted expert: knows where things are (a person would see it) and acts through the environment's actions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from robot.home import action_towards
from robot.pose import Pose
from sim.experts.failures import FAILURES, Failure
from sim.experts.noise import ActionNoise
from sim.tasks.task import REACH_X, REACH_Y, yaw_of
from sim.twin import Twin
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float32, Float64, Observation

CLEARANCE = 0.045
"""Height above the grasp from which the gripper descends, m."""
CARRY_Z = 0.125
RETREAT_Z = 0.13
PUSH_Z = 0.014
"""Height of the closed gripper while it pushes, m."""
MAX_YAW = 1.15
_NEAR = 0.012
_HOLDING_WIDTH = 0.004

Step = tuple[Float32, bool]
"""An action (7,) and whether it needs care (less noise)."""


class ScriptedExpert:
    """Does a task's direction once; `act` gives the next action. Retries when it loses the object."""

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
            noise: Standard deviation of the action noise; halved while grasping and placing.
            failure: A deliberate failure, or None.

        Raises:
            ConfigError: For an unknown failure.
        """
        if failure is not None and failure not in FAILURES:
            raise ConfigError(f"There is no failure {failure!r}; there are {', '.join(FAILURES)}.")
        self._twin, self._task, self._rng = twin, twin.task, rng
        self._noise = ActionNoise(noise)
        self._failure = failure
        self._grip = 1.0
        self._object = twin.task.object
        goal = twin.task.goals[direction]
        self._goal_object = goal.on_top_of
        self._goal = twin.task.goal_place(twin.scene, rng, goal)
        if failure == "edge":
            self._goal = self._edge_of(goal.fixture)
        elif failure == "wrong_place":
            self._goal = twin.task.free_place(twin.scene, rng, self._object, avoid=goal.fixture)
        push = twin.task.skill == "push"
        self._steps = self._push() if push else self._pick_and_place()

    def act(self, observation: Observation) -> Float32:
        """The next action, float32 (7,), with noise."""
        del observation  # a person looks at the scene, not through the robot's camera
        action, careful = next(self._steps)
        return self._noise.apply(action, self._rng, careful=careful)

    # -- skills ----------------------------------------------------------------------------------------------------
    def _pick_and_place(self) -> Iterator[Step]:
        while True:
            yield from self.pick()
            if self._failure == "drop":
                yield from self._drop_on_the_way()
                yield from self._rest()
            if not self.holding and self._failure != "miss":
                yield from self._let_go()
                continue
            placed = yield from self.place(self._goal)
            if placed or self._failure == "miss":
                yield from self._rest()

    def pick(self) -> Iterator[Step]:
        """Go above the object, down, close, lift."""
        offset = np.zeros(2)
        if self._failure == "miss":
            angle = self._rng.uniform(0, 2 * math.pi)
            offset = 0.045 * np.array([math.cos(angle), math.sin(angle)])
        self._grip = 1.0
        hover = CLEARANCE + float(self._rng.uniform(-0.01, 0.015))
        yield from self._approach(lambda: self._grasp(offset, hover), careful=False, tolerance=_NEAR)
        yield from self._approach(lambda: self._grasp(offset, 0.0), careful=True, tolerance=0.006)
        self._grip = -1.0
        for _ in range(2):
            yield self._stay(), True
        here = self._target.position
        yield from self._approach(lambda: self._level(here[:2], CARRY_Z), careful=False, tolerance=0.03)

    def place(self, xy: Float64 | None) -> Iterator[Step]:
        """Carry to a place, lower, let go, retreat; returns whether the object was still held before letting go."""
        yield from self._approach(lambda: self._above(xy, CARRY_Z), careful=False, tolerance=_NEAR)
        if not self.holding and self._failure != "miss":
            return False
        if self._failure == "hover":
            height = self._drop_height(xy) + float(self._rng.uniform(0.015, 0.05))
            yield from self._approach(lambda: self._above(xy, height), careful=True, tolerance=_NEAR)
            yield from self._rest()
        yield from self._approach(lambda: self._above(xy, self._drop_height(xy)), careful=True, tolerance=0.005)
        if self._failure == "hold":
            yield from self._rest()
        yield from self._let_go()
        return True

    def _push(self) -> Iterator[Step]:
        """Close the gripper behind the object and push it along a straight line; again if it went astray."""
        info = self._twin.scene.object(self._object)
        contact = max(info.half_extent) + 0.010
        while True:
            centre, goal = self._position[:2], self._push_goal()
            way = goal - centre
            length = float(np.linalg.norm(way))
            along = way / max(length, 1e-6)
            behind = centre - along * (contact + 0.022)
            self._grip = -1.0
            yield from self._approach(lambda p=behind: self._level(p, 0.075), careful=False, tolerance=_NEAR)
            yield from self._approach(lambda p=behind: self._level(p, PUSH_Z), careful=True, tolerance=0.008)
            stop = goal - along * contact
            if self._failure == "drop":
                stop = centre - along * contact + 0.4 * way
            if self._failure == "miss":
                stop = stop + 0.06 * np.array([-along[1], along[0]])
            yield from self._approach(lambda p=stop: self._level(p, PUSH_Z), careful=True, tolerance=0.006)
            if self._failure == "hold":
                yield from self._rest()
            here = self._target.position[:2] - 0.02 * along
            yield from self._approach(lambda p=here: self._level(p, RETREAT_Z), careful=False, tolerance=0.03)
            self._grip = 1.0
            yield self._stay(), False
            if self._failure is not None or float(np.linalg.norm(self._position[:2] - self._push_goal())) < 0.035:
                yield from self._rest()

    def _drop_on_the_way(self) -> Iterator[Step]:
        start, share = self._target.position[:2].copy(), self._rng.uniform(0.25, 0.6)
        end = self._above(self._goal, CARRY_Z).position[:2]
        middle = start + share * (end - start)
        yield from self._approach(lambda: self._level(middle, 0.07), careful=False, tolerance=_NEAR)
        yield from self._let_go()

    def _let_go(self) -> Iterator[Step]:
        self._grip = 1.0
        for _ in range(2):
            yield self._stay(), True
        here = self._target.position[:2].copy()
        yield from self._approach(lambda: self._level(here, RETREAT_Z), careful=False, tolerance=0.03)

    def _rest(self) -> Iterator[Step]:
        while True:
            yield self._stay(), True

    # -- geometry --------------------------------------------------------------------------------------------------
    @property
    def _target(self) -> Pose:
        return self._twin.env.target.pose

    @property
    def _position(self) -> Float64:
        return self._twin.scene.physics.body_pose(self._object)[0]

    @property
    def holding(self) -> bool:
        """Whether something is between the closed fingers."""
        return self._grip < 0 and self._twin.env.arm_state.gripper_width > _HOLDING_WIDTH

    def _grasp(self, offset: Float64, above: float) -> Pose:
        """Tip pose for grasping, `above` (m) over the grasp itself."""
        info = self._twin.scene.object(self._object)
        position, quaternion = self._twin.scene.physics.body_pose(self._object)
        height = max(float(position[2]) + info.grasp_height, 0.014)
        yaw = 0.0 if info.is_round else _nearest_yaw(yaw_of(quaternion), float(self._target.rpy[2]))
        return Pose.of((*(position[:2] + offset), height + above), (0.0, 0.0, yaw))

    def _above(self, xy: Float64 | None, height: float) -> Pose:
        """Tip pose for holding the object over a place; the object hangs where it was gripped."""
        if xy is None:
            xy = self._twin.scene.physics.body_pose(self._goal_object)[0][:2]
        shift = self._target.position[:2] - self._position[:2] if self.holding else np.zeros(2)
        if float(np.linalg.norm(shift)) > 0.03:
            shift = np.zeros(2)
        return self._level(xy + shift, height)

    def _drop_height(self, xy: Float64 | None) -> float:
        """Height of the tip at which the held object stands on what is at `xy`."""
        scene = self._twin.scene
        if xy is None:
            base = scene.physics.body_pose(self._goal_object)[0]
            floor = float(base[2]) + scene.object(self._goal_object).height
        else:
            floor = scene.surface_height(float(xy[0]), float(xy[1]))
        hanging = float(self._target.position[2] - self._position[2])
        grasp = scene.object(self._object).grasp_height
        return floor + (hanging if abs(hanging - grasp) < 0.02 else grasp) + 0.002

    def _level(self, xy: Float64, z: float) -> Pose:
        yaw = float(self._target.rpy[2])
        return Pose.of((float(xy[0]), float(xy[1]), z), (0.0, 0.0, yaw))

    def _push_goal(self) -> Float64:
        goal = self._goal
        return self._position[:2] if goal is None else goal

    def _edge_of(self, fixture: str) -> Float64:
        """A point just outside the fixture's surface, towards the middle of the table (or beside the other object)."""
        if not fixture:
            angle = self._rng.uniform(0, 2 * math.pi)
            base = self._twin.scene.physics.body_pose(self._goal_object)[0][:2]
            return base + 0.03 * np.array([math.cos(angle), math.sin(angle)])
        info = self._twin.scene.fixture(fixture)
        inward = -math.copysign(1.0, float(info.position[1]))
        offset = info.half_extent[1] + float(self._rng.uniform(0.0, 0.012))
        x = float(info.position[0] + self._rng.uniform(-0.5, 0.5) * info.half_extent[0])
        return np.clip(
            np.array([x, info.position[1] + inward * offset]), (REACH_X[0], REACH_Y[0]), (REACH_X[1], REACH_Y[1])
        )

    # -- motion ----------------------------------------------------------------------------------------------------
    def _stay(self) -> Float32:
        return np.array([0, 0, 0, 0, 0, 0, self._grip], dtype=np.float32)

    def _approach(self, goal: object, *, careful: bool, tolerance: float) -> Iterator[Step]:
        """Straight towards `goal()` until the target is within `tolerance` (m) of it; at least one step."""
        for _ in range(14):
            wanted: Pose = goal()  # type: ignore[operator]
            speed = 0.7 if careful else 1.0
            action, _ = action_towards(self._target, wanted, self._twin.env.robot_spec.action_scale, speed, self._grip > 0)
            yield action, careful
            miss = np.abs(goal().position - self._target.position)  # type: ignore[operator]
            if float(miss.max()) < tolerance:
                return


def _nearest_yaw(yaw: float, present: float) -> float:
    """The gripper's yaw for an object at `yaw`: modulo half a turn, within reach, nearest to `present`."""
    choices = [yaw + k * math.pi for k in (-2, -1, 0, 1, 2)]
    allowed = [c for c in choices if abs(c) <= MAX_YAW]
    if not allowed:
        return max(-MAX_YAW, min(MAX_YAW, min(choices, key=abs)))
    return min(allowed, key=lambda c: abs(c - present))
