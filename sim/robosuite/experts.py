"""Scripted experts for what robosuite's tasks ask beyond picking and placing; robosuite itself isn't imported here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robot.control.home import action_towards
from robot.control.pose import Pose
from sim.experts.expert import Step
from sim.experts.scripted import ScriptedExpert

_HIGH_Z = 0.13
"""m of the tip: what is held there is lifted."""
_LOW_Z = 0.022
"""m of the tip with a cube held just off the table: not lifted by robosuite's check."""
_OVER_Z, _BAR_Z = 0.31, 0.264
"""m of the tip: clear above the door's bar, and with the fingers beside it."""
_BEFORE, _BEHIND, _OUTSIDE = 0.235, 0.305, 0.29
"""m from the hinge, along the panel: before the bar's end, and where the bar is pulled and pushed."""
_IN_THE_GAP, _PULLING = 0.052, 0.082
"""m out of the panel: in the middle between it and the bar, and a little into the bar."""
_AWAY, _PUSHING = 0.17, 0.118
_YAW = -1.2
"""rad: the palm is then along the panel, which leaves it little room."""
_STEP_RAD = 0.12
_OPEN_RAD = 0.36


class LiftExpert(ScriptedExpert):
    """Lifts an object and holds it, or puts down what it holds.

    Failures, forward: "miss" closes beside it; "hover" stays above it; "edge" lifts it by millimetres; "drop" lets it
    go in the air; "wrong_place" drags it elsewhere; "hold" closes on it and stays. Backward: "hover"
    lowers it half-way; "edge" and "hold" set it down and hold on; "drop" and "wrong_place" go on holding it; "miss"
    carries it about.
    """

    def _skill(self) -> Iterator[Step]:
        return self._lift() if self._direction == "forward" else self._put_down()

    def _lift(self) -> Iterator[Step]:
        if self._failure == "hover":
            yield from self._approach(lambda: self.grasp(np.zeros(2), 0.06), careful=False, tolerance=0.01)
            yield from self._rest()
        while True:
            if self._failure in ("hold", "edge", "wrong_place"):
                yield from self._close_on()
                if self._failure != "hold":
                    yield from self._rise(_LOW_Z)
                if self._failure == "wrong_place":
                    yield from self._approach(lambda: self._above(self._goal, _LOW_Z), careful=True, tolerance=0.02)
                    yield from self._let_go()
                yield from self._rest()
            yield from self.pick()
            if not self.holding and self._failure != "miss":
                yield from self._let_go()
                continue
            yield from self._rise(_HIGH_Z)
            if self._failure == "drop":
                yield from self._let_go()
            yield from self._rest()

    def _put_down(self) -> Iterator[Step]:
        self._grip = -1.0
        yield self._stay(), True
        if self._failure in ("drop", "wrong_place"):
            yield from self._rest()
        place = self._goal if self._failure in (None, "miss") else self._target.position[:2].copy()
        assert place is not None
        if self._failure == "miss":
            yield from self._approach(lambda: self._level(place, _HIGH_Z), careful=False, tolerance=0.03)
            yield from self._rest()
        if self._failure == "hover":
            yield from self._approach(lambda: self._level(place, 0.05), careful=True, tolerance=0.01)
            yield from self._rest()
        yield from self._approach(lambda: self._level(place, 0.06), careful=False, tolerance=0.01)
        yield from self._approach(lambda: self._above(place, self._drop_height(place)), careful=True, tolerance=0.006)
        if self._failure in ("edge", "hold"):
            yield from self._rest()
        yield from self._let_go()
        yield from self._rest()

    def _close_on(self) -> Iterator[Step]:
        self._grip = 1.0
        yield from self._approach(lambda: self.grasp(np.zeros(2), 0.045), careful=False, tolerance=0.03)
        yield from self._descend(np.zeros(2))
        self._grip = -1.0
        for _ in range(2):
            yield self._stay(), True

    def _rise(self, height: float) -> Iterator[Step]:
        here = self._target.position[:2].copy()
        yield from self._approach(lambda: self._level(here, height), careful=False, tolerance=0.006)

    def _edge_of(self, fixture: str) -> Any:
        return self._goal


class StackExpert(ScriptedExpert):
    """Puts an object on top of another, or on the table.

    "edge" is beside the other's middle in both directions, and the wrong place for taking it off is on top again.
    """

    def _skill(self) -> Iterator[Step]:
        if self._failure == "wrong_place" and self._direction == "backward":
            self._goal, self._goal_object = None, self._task.goals["forward"].on_top_of
        return super()._skill()

    def _edge_of(self, fixture: str) -> Any:
        self._goal_object = self._goal_object or self._task.goals["forward"].on_top_of
        place = super()._edge_of(fixture)
        self._goal_object = self._task.goals[self._direction].on_top_of
        return place


class DoorExpert(ScriptedExpert):
    """Reaches behind the handle's bar with closed fingers and pulls the door open, or pushes the bar to shut it.

    Places are given in the door's own frame: m from its hinge along the panel, and m out of it, turning with the door.
    Failures: "miss" goes past above the bar; "hover" stays above it; "edge" and "drop" stop half-way; "hold" only gets
    to the bar; "wrong_place" moves it a little and back.
    """

    def _skill(self) -> Iterator[Step]:
        opening = self._direction == "forward"
        along, beside, push = (_BEHIND, _IN_THE_GAP, _PULLING) if opening else (_OUTSIDE, _AWAY, _PUSHING)
        self._grip = -1.0
        entry = _BEFORE if opening else along  # into the gap from its open end, since the arm can't reach over the bar
        yield from self._approach(lambda: self._door(entry, beside, _OVER_Z), careful=False, tolerance=0.012)
        if self._failure == "hover":
            yield from self._rest()
        low = _OVER_Z if self._failure == "miss" else _BAR_Z
        yield from self._approach(lambda: self._door(entry, beside, low), careful=True, tolerance=0.006)
        yield from self._approach(lambda: self._door(along, beside, low), careful=True, tolerance=0.006)
        if self._failure == "hold":
            yield from self._rest()
        goal = _OPEN_RAD if opening else 0.0
        start = self._scene.hinge()
        if self._failure in ("edge", "drop", "wrong_place"):
            goal = start + 0.5 * (goal - start)
        yield from self._turn(along, push, goal, low)
        if self._failure == "wrong_place" and opening:
            yield from self._approach(lambda: self._door(along, beside - 0.02, low), careful=True, tolerance=0.01)
        yield from self._rest()

    def _turn(self, along: float, push: float, goal: float, z: float) -> Iterator[Step]:
        """Move the bar along its arc until the hinge is at `goal` (rad), for at most 20 steps."""
        for _ in range(20):
            angle = self._scene.hinge()
            if abs(angle - goal) < 0.015:
                return
            ahead = angle + float(np.clip(goal - angle, -_STEP_RAD, _STEP_RAD))
            wanted = self._door(along, push, z, ahead)
            action, _ = action_towards(self._target, wanted, self._twin.env.robot_spec.action_scale, 0.8, False)
            yield action, True

    def _door(self, along: float, out: float, z: float, angle: float | None = None) -> Pose:
        """Tip pose at a place in the door's frame, for the door as it is, or at `angle` (rad)."""
        hinge, shut = self._scene.door()
        turned = self._scene.hinge() if angle is None else angle
        c, s = np.cos(turned), np.sin(turned)
        panel = np.array([c * shut[0] - s * shut[1], s * shut[0] + c * shut[1]])
        return self._facing(hinge + along * panel + out * np.array([-panel[1], panel[0]]), z)

    def _facing(self, xy: Any, z: float) -> Pose:
        return Pose.of((float(xy[0]), float(xy[1]), z), (0.0, 0.0, _YAW))

    def _edge_of(self, fixture: str) -> Any:
        return self._goal

    @property
    def _scene(self) -> Any:
        return self._twin.scene
