"""What the success before left: an episode that begins with it says so."""

from __future__ import annotations

from dataclasses import replace

from policies.perception.keypoint_labels import picked_up_where_left
from trajectories.kinds import AFTERMATH, BEGAN_DONE_KEY, kind_of
from trajectories.types import Episode, other_direction


class LeftBehind:
    """Marks the episodes of a session that begin where the other direction ended (`began_done`).

    A success goes before, and the first thing that is picked up is where it put something down. For an arm, whose
    scene a person lets stand or sets up: not where every episode begins with a new one.
    """

    def __init__(self, names: tuple[str, ...], stays: bool) -> None:
        """Nothing was left so far.

        Args:
            names: Of the proprioception's entries.
            stays: Whether an episode finds the scene as the one before left it; else nothing is ever marked.
        """
        self._names = names
        self._stays = stays
        self._before: Episode | None = None

    def marked(self, episode: Episode) -> Episode:
        """The session's next episode, with its mark if it has one; looks at what was left pass."""
        before, other = self._before, other_direction(episode.direction)
        if not self._stays or before is None or kind_of(episode) == AFTERMATH:
            return episode
        if before.outcome != "success" or (before.task, before.direction) != (episode.task, other):
            return episode
        if not picked_up_where_left(before, episode, self._names):
            return episode
        return replace(episode, metadata={**episode.metadata, BEGAN_DONE_KEY: other})

    def kept(self, episode: Episode) -> None:
        """It is on the disk: the next one begins with what it left. Looks at that change nothing."""
        if kind_of(episode) != AFTERMATH:
            self._before = episode

    def forget(self) -> None:
        """The episode before was taken back: what it said counts no more."""
        self._before = None
