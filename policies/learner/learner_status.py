"""`LearnerStatus`: what a learner tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LearnerStatus:
    """Where a run stands.

    Attributes:
        steps: Environment steps received.
        episodes: Episodes received.
        updates: Updates done.
        owed: Updates due.
        version: Newest published policy.
        success: Direction -> success in the training stream, by the judge, over its last episodes.
    """

    steps: int
    episodes: int
    updates: int
    owed: int
    version: int
    success: dict[str, float]
