"""What the learner reports about the episodes that it received: the training stream's own success."""

from __future__ import annotations

import math
from collections import deque

from trajectories.types import DIRECTIONS, Direction, Episode, Float32, Outcome

WINDOW = 20


class TrainingRecord:
    """Success of the last `WINDOW` judged episodes of each direction."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[bool]] = {direction: deque(maxlen=WINDOW) for direction in DIRECTIONS}

    def count(self, direction: Direction, outcome: Outcome) -> None:
        """Count an episode, unless its outcome is unknown."""
        if outcome != "unknown":
            self._recent[direction].append(outcome == "success")

    def add(self, episode: Episode, rewards: Float32) -> dict[str, float | str]:
        """Count an episode that has just arrived; returns its entry for the metrics.

        The twin's predicate (`metadata["evaluation"]`), where there is one, is written beside the judge's word so
        that the judge's errors can be seen; nothing learns from it.

        Args:
            episode: As the actor sent it.
            rewards: float32 (T,) as replay took them.
        """
        self.count(episode.direction, episode.outcome)
        entry: dict[str, float | str] = {
            "episode/direction": episode.direction,
            "episode/outcome": episode.outcome,
            "episode/length": float(len(episode)),
            "episode/return": float(rewards.sum()),
        }
        predicate = (episode.metadata.get("evaluation") or {}).get("success")
        if predicate is not None:
            entry["episode/predicate"] = float(bool(predicate))
        return entry | {f"training_success/{name}": self.rate(name) for name in DIRECTIONS}

    def rate(self, direction: Direction) -> float:
        """Success rate of the window; NaN when it is empty."""
        recent = self._recent[direction]
        return sum(recent) / len(recent) if recent else math.nan
