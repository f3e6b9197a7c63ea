"""A scripted expert for tasks with a cloth: it takes the cloth by its tag, carries the tag in an arc, lays it down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from robot.control.pose import Pose
from sim.experts.expert import Expert, Step
from sim.experts.failures import BORDER
from sim.experts.scripted import CARRY_Z, CLEARANCE, RETREAT_Z
from sim.tasks.cloth import TAG_X, TAG_Y, ClothTask
from trajectories.errors import ConfigError
from trajectories.types import Float64

_ABOVE_TAG, _LAY_Z = 0.005, 0.019
"""Height of the tip over the tag's middle when it grips, so that no cloth gets between the pads, and over the table
when it lets go, m."""
_NEAR, _ROUGHLY = 0.006, 0.02
_BESIDE = 0.04
"""How far beside the tag the failure "miss" closes, m."""
_TAG_WIDTH = 0.008
_AWAY_X = 0.26
"""Where the hand goes that hides what it did, m: as far back as the middle of where episodes begin."""
_ARC = (0.15, 0.4, 0.6, 0.85, 1.0)
"""Shares of the way that the arc goes through."""


class ClothExpert(Expert):
    """Takes the tag, carries it to its goal and lets go; again if the cloth doesn't lie as it should.

    Failures: "miss" closes beside the tag and moves on empty; "drop" lets go on the way; "wrong_place" lays the tag
    elsewhere; "hover" stays above the goal with the tag held; "edge" lays it down short of the goal; "hold" lays it
    down and never lets go.
    """

    def _prepare(self) -> None:
        if not isinstance(self._twin.task, ClothTask):
            raise ConfigError(f"The task {self._twin.task.name!r} has no cloth; take the expert of its skill.")
        self._cloth_task: ClothTask = self._twin.task

    def _skill(self) -> Iterator[Step]:
        while True:
            yield from self._grip_tag()
            if not self.holding and self._failure != "miss":
                yield from self._let_go()
                continue
            yield from self._carry()
            yield from self._let_go()
            for _ in range(3):
                yield self._stay(), True
            if self._failure is not None or self._cloth_task.at_goal(self._twin.scene, self._direction):
                yield from self._rest()

    def _play_once(self) -> Iterator[Step]:
        """Lay the tag anywhere on the table that it can be gripped at."""
        yield from self._grip_tag()
        if self.holding:
            start = self._target.position[:2].copy()
            goal = np.array([self._rng.uniform(*TAG_X), self._rng.uniform(*TAG_Y)])
            top = self._top(float(np.linalg.norm(goal - start)))
            for part in _ARC:
                yield from self._approach(self._on_arc(start, goal, top, part), careful=False, tolerance=_ROUGHLY)
            yield from self._approach(lambda: self._level(goal, _LAY_Z), careful=True, tolerance=_NEAR)
        yield from self._let_go()

    @property
    def holding(self) -> bool:
        """Whether the tag is between the closed fingers."""
        return self._grip < 0 and self._twin.env.arm_state.gripper_width > _TAG_WIDTH

    def _grip_tag(self) -> Iterator[Step]:
        offset = np.zeros(2)
        if self._failure == "miss":
            offset = _BESIDE * np.array([math.cos(angle := self._rng.uniform(0, math.pi)), math.sin(angle)])
        self._grip = 1.0
        hover = CLEARANCE + float(self._rng.uniform(-0.01, 0.015))
        yield from self._approach(lambda: self._over_tag(offset, hover), careful=False, tolerance=_ROUGHLY)
        yield from self._approach(lambda: self._over_tag(offset, 0.02), careful=True, tolerance=_NEAR)
        yield from self._approach(lambda: self._over_tag(offset, 0.0), careful=True, tolerance=_NEAR)
        self._grip = -1.0
        for _ in range(3):
            yield self._stay(), True

    def _over_tag(self, offset: Float64, above: float) -> Pose:
        x, y, z = self._twin.scene.cloth.tag()
        return Pose.of((x + offset[0], y + offset[1], z + _ABOVE_TAG + above), (0.0, 0.0, 0.0))

    def _carry(self) -> Iterator[Step]:
        """From where the tag is to its goal in an arc, or less well by a failure."""
        start, goal = self._target.position[:2].copy(), self._way_end()
        share = {"edge": self._rng.uniform(0.25, 0.45), BORDER: self._rng.uniform(0.6, 1.0)}.get(
            str(self._failure), 1.0
        )
        goal = start + share * (goal - start)
        top = self._top(float(np.linalg.norm(goal - start)))
        for part in _ARC:
            if part > 0.2 and self._failure == "drop":  # later it might fall to where it belongs
                return
            yield from self._approach(self._on_arc(start, goal, top, part), careful=False, tolerance=_ROUGHLY)
        if self._failure == "hover":
            height = float(self._rng.uniform(0.05, 0.08))
            yield from self._approach(lambda: self._level(goal, height), careful=True, tolerance=_NEAR)
            yield from self._rest()
        yield from self._approach(lambda: self._level(goal, _LAY_Z), careful=True, tolerance=_NEAR)
        if self._failure == "hold":
            yield from self._rest()

    def _on_arc(self, start: Float64, goal: Float64, top: float, part: float) -> Callable[[], Pose]:
        spot = start + (0.5 - 0.5 * math.cos(math.pi * part)) * (goal - start)
        height = _LAY_Z + (top - _LAY_Z) * math.sin(math.pi * part)
        return lambda: self._level(spot, max(height, 0.03))

    def _way_end(self) -> Float64:
        if self._failure == "wrong_place":
            return np.array([self._rng.uniform(*TAG_X), math.copysign(TAG_Y[1], self._rng.uniform(-1, 1))])
        return self._cloth_task.tag_goal(self._twin.scene, self._direction)

    def _top(self, length: float) -> float:
        """Height of the arc: half of the tag's way and a little, so that the cloth is peeled off what it lies on."""
        over = CARRY_Z if self._cloth_task.scene.objects and self._direction == "forward" else 0.0
        return max(over, min(CARRY_Z, _LAY_Z + 0.55 * length))

    def _let_go(self) -> Iterator[Step]:
        self._grip = 1.0
        for _ in range(3):
            yield self._stay(), True
        here = self._target.position[:2].copy()
        yield from self._approach(lambda: self._level(here, RETREAT_Z), careful=False, tolerance=0.03)
        if self._cloth_task.hides(self._twin.scene, self._direction):
            away = np.array([_AWAY_X, here[1]])
            yield from self._approach(lambda: self._level(away, RETREAT_Z), careful=False, tolerance=_ROUGHLY)
