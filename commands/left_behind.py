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

    def __init__(self, names: tuple[str, ...]) -> None:
        """Nothing was left so far; `names` are those of the proprioception's entries."""
        self._names = names
        self._before: Episode | None = None
        self._latest: Episode | None = None

    def marked(self, episode: Episode) -> Episode:
        """The session's next episode, with its mark if it has one; looks at what was left pass.

        Asked again about the same one, as when a full disk refused it, it says the same.
        """
        if kind_of(episode) == AFTERMATH:
            return episode
        if self._latest is None or self._latest.id != episode.id:
            self._before, self._latest = self._latest, episode
        before = self._before
        other = other_direction(episode.direction)
        if before is None or before.outcome != "success" or (before.task, before.direction) != (episode.task, other):
            return episode
        if not picked_up_where_left(before, episode, self._names):
            return episode
        return replace(episode, metadata={**episode.metadata, BEGAN_DONE_KEY: other})

    def forget(self) -> None:
        """The episode before was taken back: what it said counts no more."""
        self._before = self._latest = None
