"""A session at one instant, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from trajectories.types import Direction, Observation, Source


@dataclass(frozen=True)
class SessionStep:
    """A session at one instant, for people to look at.

    Attributes:
        observation: The newest one.
        direction: Of the episode.
        step: Control steps so far.
        source: Who acted last.
        probability: That the instruction is done, as the reward model sees it.
        clipped: Limits that changed the last action.
        progress: How far the task has come in each of the episode's observations so far, as the reward model sees it;
            None where it doesn't say.
        unsure: Whether the reward model doesn't know at present.
    """

    observation: Observation
    direction: Direction
    step: int
    source: Source
    probability: float
    clipped: tuple[str, ...] = ()
    progress: tuple[float | None, ...] = ()
    unsure: bool = False
