"""Run a session whose judge may be exchanged between episodes."""

from __future__ import annotations

from collections.abc import Callable

from robot.interfaces import RewardModel
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.session_stats import SessionStats
from trajectories.types import Episode


class RetrainingSession:
    """A session with a look for a new judge before each episode (`robot.rollout.actor.Session`).

    Args:
        session: Runs the episodes.
        newer: Returns the judge for the episodes from now on, or None where it stays; may take its time.
        exchange: Lets the session judge by it, e.g. `ResetFreeSession.judge_by`.
    """

    def __init__(
        self,
        session: RecoveringSession,
        newer: Callable[[], RewardModel | None],
        exchange: Callable[[RewardModel], None],
    ) -> None:
        self._session, self._newer, self._exchange = session, newer, exchange

    @property
    def stats(self) -> SessionStats:
        """What the session has done so far."""
        return self._session.stats

    def run_episode(self) -> Episode:
        """The next episode that comes to its end; errors as of the session, and of `newer`."""
        judge = self._newer()
        if judge is not None:
            self._exchange(judge)
        return self._session.run_episode()
