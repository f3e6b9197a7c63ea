"""Run a session across faults: keep the episode that a fault cut short, and bring the robot back."""

from __future__ import annotations

from robot.rollout.recovery import RECOVERABLE, Recovery
from robot.rollout.session import ResetFreeSession
from robot.rollout.session_stats import SessionStats
from trajectories.types import Episode


class RecoveringSession:
    """`ResetFreeSession` with a `Recovery` between episodes (`robot.rollout.actor.Session`).

    Args:
        session: Gives what a fault cut short to its `on_episode`.
        recovery: Brings the robot back.
    """

    def __init__(self, session: ResetFreeSession, recovery: Recovery) -> None:
        self._session, self._recovery = session, recovery

    @property
    def stats(self) -> SessionStats:
        """What the session has done so far."""
        return self._session.stats

    def run_episode(self) -> Episode:
        """The next episode that comes to its end.

        Raises:
            StoppedError: When a person ends the session while the robot waits.
            RegraspError: When the robot can't be brought back.
        """
        while True:
            try:
                episode = self._session.run_episode()
            except RECOVERABLE as error:
                self._recovery.after(error)
            else:
                self._recovery.succeeded()
                return episode
