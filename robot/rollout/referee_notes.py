"""What a referee, the twin's predicate, says of an episode: written down for evaluation, learned from by nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trajectories.types import Direction


class RefereeNotes:
    """Asks a referee at most once about each thing of an episode.

    Args:
        referee: Whether a direction's goal is reached; None: there is nobody to ask.
    """

    def __init__(self, referee: Callable[[Direction], bool] | None) -> None:
        self._referee = referee
        self._notes: dict[str, bool] = {}

    def begins(self) -> None:
        """An episode begins; nothing is noted of it."""
        self._notes = {}

    def ask(self, about: str, direction: Direction, *, counts: bool = True) -> None:
        """Note what it says now, unless it has been noted; False where it may not count.

        Args:
            about: "success", at the episode's last step, or "left", once the arm is home.
            direction: Of the episode.
            counts: Whether the goal, if it is reached, may be the episode's doing.
        """
        if self._referee is not None and about not in self._notes:
            self._notes[about] = counts and bool(self._referee(direction))

    def noted(self) -> dict[str, Any]:
        """For the episode's metadata; empty where nobody was asked."""
        return {"evaluation": dict(self._notes)} if self._notes else {}
