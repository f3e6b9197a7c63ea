"""A scripted expert that sweeps things to one side of a tray with the board in the gripper."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from robot.control.home import action_towards
from robot.control.pose import Pose
from sim.experts.expert import Expert, Step
from sim.experts.failures import BORDER
from sim.scene.spec import FixtureInfo
from sim.tasks.sweeping import SweepTask
from trajectories.errors import ConfigError
from trajectories.types import Float64

_OVER, _AIR = 0.034, 0.0025
"""How far the blade is above the tray's floor on the way, and while it sweeps, m."""
_BEHIND = 0.015
"""From the middle of what is swept to that of the blade that is let down behind it, m."""
_TOUCH = 0.009
"""The same as it pushes, m."""
_FURTHER = 0.013
"""How far beyond where the side begins the expert pushes, m."""
_WALL = 0.009
"""Between a wall and the middle of the blade, m."""
_HIGH = 0.13
"""Of the tip when all is done, m."""
_STANDS_ON = 0.0065
"""A blade that is let down and this high above the floor stands on something, m."""
_SPEED = 0.55


class SweepExpert(Expert):
    """Sweeps lane by lane, the fullest first, until nothing is left.

    Failures: "miss" sweeps above the things; "hover" waits above them; "edge" stops short of the side by millimetres;
    "wrong_place" stops in the tray's middle; "drop" lets the board go on the way; "hold" stays half-way in the first
    lane. With `BORDER` the last ones lie within a centimetre of where the side begins.
    """

    def _prepare(self) -> None:
        if not isinstance(self._twin.task, SweepTask):
            raise ConfigError(f"Nothing is swept in {self._twin.task.name}.")
        self._task = self._twin.task
        self._grip = -1.0
        self._side = self._task.sides[self._direction]
        self._hang = self._hanging()
        beyond = {
            "edge": -float(self._rng.uniform(0.003, 0.012)),
            "wrong_place": -self._task.beyond + float(self._rng.uniform(-0.01, 0.01)),
            BORDER: float(self._rng.uniform(-0.01, 0.01)),
        }
        self._until = self._task.beyond + beyond.get(self._failure or "", _FURTHER)

    def _skill(self) -> Iterator[Step]:
        if self._failure == "hover":
            yield from self._approach(lambda: self._at(-self._side * 0.04, 0.0, _OVER), careful=False, tolerance=0.02)
            yield from self._rest()
        lanes = 0
        while (lane := self._lane()) is not None:
            yield from self._sweep(*lane)
            lanes += 1
            if lanes >= 3 and self._failure is not None:
                break
        here = self._target.position[:2].copy()
        yield from self._approach(lambda: self._level(here, _HIGH), careful=False, tolerance=0.02)
        yield from self._rest()

    def _play_once(self) -> Iterator[Step]:
        """Sweep a lane, if anything is left to sweep: where the board comes down has to follow from the instruction."""
        lane = self._lane()
        if lane is not None:
            yield from self._sweep(*lane)

    def _sweep(self, across: float, start: float) -> Iterator[Step]:
        """Go behind the things of a lane, down, and push."""
        self._hang = self._hanging()
        low = _OVER if self._failure == "miss" else _AIR
        yield from self._approach(lambda: self._at(start, across, _OVER), careful=False, tolerance=0.025)
        yield from self._approach(lambda: self._at(start, across, _OVER), careful=True, tolerance=0.006)
        down = yield from self._let_down(self._at(start, across, low))
        if not down and self._failure is None:
            yield from self._approach(lambda: self._at(start, across, _OVER), careful=True, tolerance=0.01)
            return
        end = self._side * (self._until - _TOUCH)
        if self._failure in ("drop", "hold"):
            end = start + 0.5 * (end - start)
        scale = self._twin.env.robot_spec.action_scale
        for _ in range(10):
            wanted = self._at(end, across, low)
            action, arrives = action_towards(self._target, wanted, scale, _SPEED, self._grip > 0)
            yield action, True
            if arrives:
                break
        if self._failure == "drop":
            self._grip = 1.0
        if self._failure in ("drop", "hold"):
            yield from self._rest()
        yield from self._approach(lambda: self._at(end, across, _OVER), careful=True, tolerance=0.01)

    def _let_down(self, wanted: Pose) -> Generator[Step, None, bool]:
        """Lower the blade; returns whether it got there: not where it came down on a candy or a wall."""
        scale = self._twin.env.robot_spec.action_scale
        for _ in range(6):
            action, _ = action_towards(self._target, wanted, scale, 0.7, self._grip > 0)
            yield action, True
            miss = np.abs(self._target.position - wanted.position)
            if float(miss[:2].max()) < 0.008 and float(miss[2]) < 0.004:
                break
        blade = float(self._twin.scene.physics.body_pose(self._task.tool)[0][2]) - self._tray.floor_height
        return blade < _STANDS_ON

    def _lane(self) -> tuple[float, float] | None:
        """Where across the tray the board sweeps most of what is left, and where along it that begins; None: all done.

        Both m in the tray's own axes.
        """
        places = np.array([self._tray.local(*self._place(name)) for name in self._task.things])
        left = places[self._side * places[:, 0] < min(self._until, self._task.beyond + 0.5 * _FURTHER)]
        if not len(left):
            return None
        half = self._twin.scene.object(self._task.tool).half_extent[1]
        most = self._tray.half_extent[1] - half - _WALL
        lanes = np.clip(np.linspace(-most, most, 25), -most, most)
        swept = (np.abs(left[None, :, 1] - lanes[:, None]) < half - 0.006).sum(1)
        edge = np.abs(np.abs(left[None, :, 1] - lanes[:, None]) - half).min(1)  # nothing under the board's ends
        across = float(lanes[np.argmax(swept + np.minimum(edge, 0.02))])
        mine = left[np.abs(left[:, 1] - across) < half + 0.010]
        if not len(mine):
            mine = left
        last = float((self._side * mine[:, 0]).min()) - _BEHIND
        return across, self._side * max(last, _WALL - self._tray.half_extent[0])

    @property
    def _tray(self) -> FixtureInfo:
        return self._twin.scene.fixture(self._task.tray)

    def _place(self, name: str) -> tuple[float, float]:
        x, y, _ = self._twin.scene.physics.body_pose(name)[0]
        return float(x), float(y)

    def _at(self, along: float, across: float, above: float) -> Pose:
        """Tip pose with the blade at a place of the tray, `above` (m) over its floor, across its x axis."""
        x, y = self._tray.point(along, across) + self._hang[:2]
        return Pose.of(
            (float(x), float(y), self._tray.floor_height + self._hang[2] + above), (0.0, 0.0, self._tray.yaw)
        )

    def _hanging(self) -> Float64:
        """From the middle of the blade's lower edge to the tip (3,), m: how the board hangs; as usual once lost."""
        physics = self._twin.scene.physics
        hanging = physics.tip_position() - physics.body_pose(self._task.tool)[0]
        usual = np.array([0.0, 0.0, self._twin.scene.object(self._task.tool).grasp_height])
        return hanging if float(np.abs(hanging - usual).max()) < 0.045 else usual
