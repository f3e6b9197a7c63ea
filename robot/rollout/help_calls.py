"""When a session asks for help, and what it does then."""

from __future__ import annotations

from robot.interfaces import Operator
from robot.rollout.session_stats import SessionStats
from trajectories.types import DIRECTIONS, Direction


class HelpCalls:
    """Calls for help when the scene is in trouble or after failures, or doubts, in a row.

    Args:
        operator: Who is asked.
        stats: Of the session; helps are counted in them.
        help_after: Failures in a row, see `robot.rollout.session.ResetFreeSession`.
    """

    def __init__(self, operator: Operator, stats: SessionStats, help_after: int) -> None:
        self._operator, self._stats, self._help_after = operator, stats, help_after

    def reason(self) -> str | None:
        """Why the session can't go on by itself, or None."""
        trouble = self._operator.trouble()
        return self._stuck() if trouble is None else trouble

    def call(self, reason: str, direction: Direction) -> None:
        """Have the scene brought into a start state of `direction`; that ends a row of failures."""
        self._stats.helps[reason] = self._stats.helps.get(reason, 0) + 1
        self._operator.help(reason, direction)
        self._stats.forgive()

    def _stuck(self) -> str | None:
        failures = self._stats.consecutive_failures
        if failures["any"] >= self._help_after:
            return f"{self._help_after} failures in a row"
        if self._stats.consecutive_unsure >= self._help_after:
            return f"{self._help_after} episodes in a row whose end the judge was unsure about"
        for direction in DIRECTIONS:
            if failures[direction] >= 2 * self._help_after:
                return f"{2 * self._help_after} failures in a row of the {direction} task"
        return None
