"""Implement `robot.interfaces.Operator` for the virtual arm: do at once what a person beside the arm would do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot.control.faults import Clearance, Fault, caused
from robot.interfaces import Clock
from robot.rollout.environment import RobotEnv
from sim.virtual.client import VirtualWorld
from trajectories.types import Direction

_UNTIL_SEEN_NS = 200_000_000
"""From a frame's rendering until a session can have it."""


class VirtualOperator:
    """Arranges the virtual scene and clears what the virtual robot caused.

    Args:
        world: The virtual robot.
        env: The robot as the session sees it; taken home before the scene is changed.
        clock: The wall's.
        rng: Draws scenes.
    """

    def __init__(self, world: VirtualWorld, env: RobotEnv, clock: Clock, rng: np.random.Generator) -> None:
        self._world, self._env, self._clock, self._rng = world, env, clock, rng

    def trouble(self) -> str | None:
        """Why the session can't go on, as a person would see it, or None."""
        return self._world.trouble()

    def help(self, reason: str, direction: Direction) -> None:
        """A new scene, with the arm out of the way unless it is stuck."""
        self._env.go_home(self._rng)
        self.arrange(direction, self._rng)

    def recover(self, faults: Sequence[Fault]) -> Clearance | None:
        """Take responsibility for what the virtual robot caused; a hold was said by a person, who clears it."""
        mine = caused(faults)
        return Clearance("the virtual arm's operator", mine) if mine else None

    def resume(self, reason: str) -> None:
        """Nobody can be hurt here."""

    def arrange(self, direction: Direction, rng: np.random.Generator) -> None:
        """A new scene in a start state of `direction`; returns when the cameras show it at rest."""
        shown_ns = self._world.place(direction, int(rng.integers(2**31)))
        self._clock.sleep_until_ns(shown_ns + _UNTIL_SEEN_NS)
