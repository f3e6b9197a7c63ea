"""What the learner reports about the episodes that it received: the training stream's own success."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from trajectories.labels import sparse_labels
from trajectories.types import DIRECTIONS, Direction, Outcome

WINDOW = 20


class TrainingRecord:
    """Success of the last `WINDOW` judged episodes of each direction."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[bool]] = {direction: deque(maxlen=WINDOW) for direction in DIRECTIONS}

    def add(
        self, direction: Direction, outcome: Outcome, length: int, metadata: Mapping[str, Any]
    ) -> dict[str, float | str]:
        """Count an episode; returns its entry for the metrics.

        The twin's predicate (`metadata["evaluation"]`), where there is one, is written beside the judge's word so
        that the judge's errors can be seen; nothing learns from it.
        """
        success = outcome == "success"
        if outcome != "unknown":
            self._recent[direction].append(success)
        entry: dict[str, float | str] = {
            "episode/direction": direction,
            "episode/outcome": outcome,
            "episode/length": float(length),
            "episode/return": float(sparse_labels(length, outcome)[0].sum()),
        }
        predicate = (metadata.get("evaluation") or {}).get("success")
        if predicate is not None:
            entry["episode/predicate"] = float(bool(predicate))
        return entry | {f"training_success/{name}": self.rate(name) for name in DIRECTIONS}

    def rate(self, direction: Direction) -> float:
        """Success rate of the window; NaN when it is empty."""
        recent = self._recent[direction]
        return sum(recent) / len(recent) if recent else math.nan
