"""A scripted expert that moves one object: it knows where things are, as a person would see it."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import partial

import numpy as np

from robot.control.home import action_towards
from robot.control.pose import Pose
from sim.experts.expert import Expert, Step
from sim.experts.failures import BORDER
from sim.tasks.borders import border_place, last_across, last_apart
from sim.tasks.moving import moving
from sim.tasks.task import yaw_of
from trajectories.types import Float64

CLEARANCE = 0.045
"""Height above the grasp from which the gripper descends, m."""
CARRY_Z = 0.125
RETREAT_Z = 0.13
MAX_YAW = 1.15
PUSH_Z, PUSH_TRAVEL_Z = 0.022, 0.07
"""Heights of the closed gripper while it pushes and on the way there, m."""
PUSHED_M = 0.03
"""A pushed object this near to its goal has arrived, m."""
FINGER_LENGTH = 0.012
"""How far the fingers reach below the tip, with a little air, m."""
_NEAR, _ROUGHLY = 0.012, 0.03
_HOLDING_WIDTH = 0.004
_BEYOND = 0.012
"""How far from a surface's border, at most, the failure "edge" lets go outside it, m."""
_OUTSIDE = 0.003
"""How far outside the last place that still counts the failure "edge" lets go at least, m."""
_TOPPLES = 0.03
"""How far beside what it should stand on an object is let go that falls off, m."""
_NEAR_BORDER = 0.010
"""How far from the last place that still counts `BORDER` lets go at most, m."""


class ScriptedExpert(Expert):
    """Does a task's direction once; `act` gives the next action. Retries when it loses the object."""

    def _prepare(self) -> None:
        self._task = moving(self._twin.task)
        self._object = self._task.object
        goal = self._task.goals[self._direction]
        self._goal_object, self._goal_fixture = goal.on_top_of, goal.fixture
        self._goal = self._task.goal_place(self._twin.scene, self._rng, goal)
        if self._failure in ("edge", BORDER):
            self._goal = self._edge_of(goal.fixture)
        elif self._failure == "wrong_place":
            self._goal = self._task.free_place(self._twin.scene, self._rng, self._object, avoid=goal.fixture)

    # -- skills ----------------------------------------------------------------------------------------------------
    def _skill(self) -> Iterator[Step]:
        """All steps of the task."""
        return self._push() if self._task.skill == "push" else self._pick_and_place()

    def _play_once(self) -> Iterator[Step]:
        """Pick the object up and put it down on any free place."""
        yield from self.pick()
        yield from self.place(self._task.free_place(self._twin.scene, self._rng, self._object, avoid=""))
        self._grip = 1.0

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
        yield from self._approach(lambda: self.grasp(offset, hover), careful=False, tolerance=_ROUGHLY)
        yield from self._descend(offset)
        self._grip = -1.0
        for _ in range(2):
            yield self._stay(), True
        here = self._target.position
        yield from self._approach(lambda: self._level(here[:2], CARRY_Z), careful=False, tolerance=0.03)

    def place(self, xy: Float64 | None) -> Generator[Step, None, bool]:
        """Carry to a place, lower, let go, retreat; returns whether the object was still held before letting go."""
        exact = xy is None  # on top of another object
        yield from self._approach(
            lambda: self._above(xy, CARRY_Z), careful=exact, tolerance=_NEAR if exact else _ROUGHLY
        )
        if not self.holding and self._failure != "miss":
            return False
        if self._failure == "hover":
            height = self._drop_height(xy) + float(self._rng.uniform(0.015, 0.05))
            yield from self._approach(lambda: self._above(xy, height), careful=True, tolerance=_NEAR)
            yield from self._rest()
        yield from self._approach(lambda: self._above(xy, self._drop_height(xy)), careful=True, tolerance=0.006)
        if self._failure == "hold":
            yield from self._rest()
        yield from self._let_go()
        return True

    def _push(self) -> Iterator[Step]:
        """Close the gripper, go behind the object and push it towards the goal; again if it went astray."""
        self._grip = -1.0
        if self._failure == "hover":
            yield from self._approach(lambda: self._level(self._push_goal(), 0.05), careful=False, tolerance=_NEAR)
            yield from self._rest()
        goal = self._push_goal().copy()
        if self._failure == "drop":
            goal = self._position[:2] + 0.4 * (goal - self._position[:2])
        while True:
            yield from self._go_behind(goal)
            if self._failure == "miss":
                yield from self._pass_beside(goal)
            else:
                yield from self._push_along(goal)
            if self._failure == "hold":
                yield from self._rest()
            here = self._target.position[:2].copy()
            yield from self._approach(partial(self._level, here, PUSH_TRAVEL_Z), careful=False, tolerance=_ROUGHLY)
            if self._failure is not None or float(np.linalg.norm(self._position[:2] - goal)) < PUSHED_M:
                self._grip = 1.0
                yield from self._approach(partial(self._level, here, RETREAT_Z), careful=False, tolerance=_ROUGHLY)
                yield from self._rest()

    def _go_behind(self, goal: Float64) -> Iterator[Step]:
        """Over the object to its side away from the goal, then down."""

        def place(z: float) -> Pose:
            spot = self._position[:2] - self._way(goal)[0] * (self._contact + 0.018)
            return self._level(np.clip(spot, (0.185, -0.197), (0.375, 0.197)), z)

        yield from self._approach(lambda: place(PUSH_TRAVEL_Z), careful=False, tolerance=_NEAR)
        yield from self._approach(lambda: place(PUSH_Z), careful=True, tolerance=0.008)

    def _push_along(self, goal: Float64) -> Iterator[Step]:
        """Push while the object lies ahead; a step aims at the line through object and goal, so it stays on it."""
        for _ in range(16):
            along, length = self._way(goal)
            ahead = self._position[:2] - self._target.position[:2]
            aside = float(np.linalg.norm(ahead - (ahead @ along) * along))
            if length < 0.5 * PUSHED_M or ahead @ along < 0.5 * self._contact or aside > 0.015:
                return
            spot = self._position[:2] + along * (min(0.03, length) - self._contact)
            action, _ = action_towards(
                self._target, self._level(spot, PUSH_Z), self._twin.env.robot_spec.action_scale, 0.9, False
            )
            yield action, True

    def _pass_beside(self, goal: Float64) -> Iterator[Step]:
        """Miss the object by going past it."""
        along, length = self._way(goal)
        start = self._target.position[:2] + 0.045 * np.array([-along[1], along[0]])
        yield from self._approach(lambda: self._level(start, PUSH_Z), careful=False, tolerance=_NEAR)
        end = start + along * length
        yield from self._approach(lambda: self._level(end, PUSH_Z), careful=False, tolerance=_ROUGHLY)

    def _way(self, goal: Float64) -> tuple[Float64, float]:
        """Unit vector (2,) from the object to the goal, and their distance, m."""
        way = goal - self._position[:2]
        length = float(np.linalg.norm(way))
        return way / max(length, 1e-6), length

    @property
    def _contact(self) -> float:
        """Distance of the tip from the object's centre when the closed fingers touch it, m."""
        return max(self._twin.scene.object(self._object).half_extent) + 0.006

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

    # -- geometry --------------------------------------------------------------------------------------------------
    @property
    def _position(self) -> Float64:
        return self._twin.scene.physics.body_pose(self._object)[0]

    @property
    def holding(self) -> bool:
        """Whether something is between the closed fingers."""
        return self._grip < 0 and self._twin.env.arm_state.gripper_width > _HOLDING_WIDTH

    def grasp(self, offset: Float64, above: float) -> Pose:
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
            floor = float(base[2]) + scene.object(self._object).height_on(scene.object(self._goal_object))
        else:
            floor = scene.surface_height(float(xy[0]), float(xy[1]))
        hanging = float(self._target.position[2] - self._position[2])
        grasp = scene.object(self._object).grasp_height
        return floor + (hanging if abs(hanging - grasp) < 0.02 else grasp) + 0.002

    def _push_goal(self) -> Float64:
        """Where to push to (2,), m: half as far from the middle of the goal's surface as a gripper would place."""
        goal = self._goal
        if goal is None:
            return self._position[:2]
        if self._failure in ("edge", "wrong_place"):
            return goal
        middle = self._twin.scene.fixture(self._goal_fixture).position[:2]
        return middle + 0.5 * (goal - middle)

    def _edge_of(self, fixture: str) -> Float64:
        """A point on the border of the fixture's surface, on any side (or beside the other object).

        The object stands across the border there, by anything between a sliver and more than half of it: it is such
        places that a reward model has to tell from the surface itself, and the arm gets to all of its sides.
        """
        if not fixture:
            angle = self._rng.uniform(0, 2 * math.pi)
            scene, apart = self._twin.scene, _TOPPLES
            base = scene.object(self._goal_object)
            if base.opening:
                apart = self._about(last_apart(scene.object(self._object), base), _TOPPLES)
            middle = scene.physics.body_pose(self._goal_object)[0][:2]
            return middle + apart * np.array([math.cos(angle), math.sin(angle)])
        across = self._about(last_across(self._twin.scene.object(self._object)), _BEYOND)
        return border_place(self._twin.scene.fixture(fixture), across, self._rng)

    def _about(self, last: float, most: float) -> float:
        """A distance about the last one that still counts, m; for the failure "edge" beyond it, `most` at most."""
        if self._failure == "edge":
            return float(self._rng.uniform(last + _OUTSIDE, most))
        return float(self._rng.uniform(last - _NEAR_BORDER, last + _NEAR_BORDER))

    def _descend(self, offset: Float64) -> Iterator[Step]:
        """Down onto the grasp; above the object the fingers wait until they are astride it."""
        info = self._twin.scene.object(self._object)
        limits = self._twin.env.limits
        slack = max(0.003, 0.5 * (limits.gripper_open_width - info.grasp_width) - 0.003)
        for _ in range(14):
            grasp = self.grasp(offset, 0.0)
            miss = self._target.position - grasp.position
            clear = float(self._position[2]) + info.height + FINGER_LENGTH
            astride = float(np.abs(miss[:2]).max()) < slack or float(self._target.position[2]) < clear - 0.01
            wanted = grasp if astride else Pose.of((*grasp.position[:2], clear), grasp.rpy.tolist())
            action, _ = action_towards(self._target, wanted, self._twin.env.robot_spec.action_scale, 0.7, True)
            yield action, True
            miss = np.abs(self._target.position - self.grasp(offset, 0.0).position)
            if miss[2] < 0.007 and float(miss[:2].max()) < max(slack, 0.006):
                return


def _nearest_yaw(yaw: float, present: float) -> float:
    """The gripper's yaw for an object at `yaw`: modulo half a turn, within reach, nearest to `present`."""
    choices = [yaw + k * math.pi for k in (-2, -1, 0, 1, 2)]
    allowed = [c for c in choices if abs(c) <= MAX_YAW]
    if not allowed:
        return max(-MAX_YAW, min(MAX_YAW, min(choices, key=abs)))
    return min(allowed, key=lambda c: abs(c - present))
