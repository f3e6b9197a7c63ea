"""What a run of several arms came to: rates, waits and when it had learned, from the samples and rows that it left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trajectories.types import DIRECTIONS

WINDOW = 20
"""Judged episodes of each direction that make a success rate."""
ENOUGH = 0.8


@dataclass(frozen=True)
class Learned:
    """When both directions first succeeded in `ENOUGH` of their last `WINDOW` judged episodes.

    Attributes:
        steps: Environment steps of all arms.
        wall_s: Seconds that the learner had been up.
        episodes: Of all arms.
    """

    steps: int
    wall_s: float
    episodes: int


def learned(rows: Sequence[Mapping[str, Any]], *, truly: bool) -> Learned | None:
    """The first such moment in the rows of `metrics.jsonl`; None where it never came.

    Args:
        rows: In order.
        truly: By the twin's predicate instead of the judge; episodes of which it says nothing are passed over.
    """
    recent: dict[str, deque[bool]] = {name: deque(maxlen=WINDOW) for name in DIRECTIONS}
    episodes = 0
    for row in rows:
        if (direction := row.get("episode/direction")) is None:
            continue
        episodes += 1
        if (success := _truth(row) if truly else _judged(row)) is not None:
            recent[direction].append(success)
        if all(len(one) == WINDOW and sum(one) >= ENOUGH * WINDOW for one in recent.values()):
            return Learned(int(row["step"]), float(row["wall_s"]), episodes)
    return None


def _judged(row: Mapping[str, Any]) -> bool | None:
    return {"success": True, "failure": False}.get(str(row["episode/outcome"]))


def _truth(row: Mapping[str, Any]) -> bool | None:
    value = row.get("episode/predicate")
    return None if value is None else bool(value)


@dataclass(frozen=True)
class Rates:
    """Of the time in which the run learned, from the first update to the last step.

    Attributes:
        seconds: That it took.
        steps_s: Environment steps a second of all arms.
        updates_s: Updates a second.
        arms_steps_s: The same of each arm, by name.
        waiting: Share of the samples in which an arm waited for the learner, by name.
        processor: Processor seconds a second, of the learner and of each arm, by name.
        load: Median of the machine's runnable processes.
    """

    seconds: float
    steps_s: float
    updates_s: float
    arms_steps_s: Mapping[str, float]
    waiting: Mapping[str, float]
    processor: Mapping[str, float]
    load: float


def rates(samples: Sequence[Mapping[str, Any]]) -> Rates | None:
    """The rates in samples of one start or several; None where there were no updates.

    Args:
        samples: Each with "t" (s), "start" (which one), "steps", "updates", "load", "arms" {name: [steps, state]} and
            "cpu" {name: seconds}.
    """
    spans = _spans([one for one in samples if one["updates"] > 0])
    seconds = sum(last["t"] - first["t"] for first, last, _ in spans)
    if seconds <= 0:
        return None
    names = sorted({name for one in samples for name in one["arms"]})
    every = [one for _, _, all_of_it in spans for one in all_of_it]

    def gained(value: Any) -> float:
        return float(sum(value(last) - value(first) for first, last, _ in spans)) / seconds

    def used(who: str) -> float:
        """Of a process that has ended nothing is known any more: what counts is the most that it had."""
        every_span = ([one["cpu"].get(who, 0.0) for one in inside] for _, _, inside in spans)
        return float(sum(max(span) - span[0] for span in every_span)) / seconds

    def waits(name: str) -> float:
        states = [one["arms"][name][1] for one in every if name in one["arms"]]
        return states.count("waiting") / max(1, len(states))

    return Rates(
        seconds=seconds,
        steps_s=gained(lambda one: one["steps"]),
        updates_s=gained(lambda one: one["updates"]),
        arms_steps_s={name: gained(lambda one, name=name: one["arms"].get(name, [0])[0]) for name in names},
        waiting={name: waits(name) for name in names},
        processor={who: used(who) for who in ("learner", *names)},
        load=sorted(one["load"] for one in every)[len(every) // 2],
    )


def _spans(samples: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any], list[Any]]]:
    """First, last and all samples of each start, up to when the last step had come."""
    found = []
    for start in sorted({one["start"] for one in samples}):
        mine = [one for one in samples if one["start"] == start]
        steps = mine[-1]["steps"]
        busy = mine[: 1 + next(place for place, one in enumerate(mine) if one["steps"] == steps)]
        found.append((busy[0], busy[-1], busy))
    return found
