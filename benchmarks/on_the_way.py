"""How fine-tuning went on: success of its stream and from the evaluation's starts, by steps and minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from commands.evaluate.conditions import Evaluation
from commands.report.data import Stream
from trajectories.types import DIRECTIONS

PART = 1000
"""Environment steps of one entry of the stream."""
Counts = tuple[int, int]
"""Successes and episodes."""


def stream_counts(stream: Stream) -> dict[str, list[Counts]]:
    """Direction -> true successes and episodes of each `PART` of the steps; the last one may be shorter."""
    starts = range(0, stream.total_steps, PART)
    return {way: [stream.tally(way, at, at + PART, truly=True) for at in starts] for way in DIRECTIONS}


def minutes_at(stream: Stream, steps: int) -> float:
    """Minutes of running at the end of the last episode that ended by so many steps; 0 before the first."""
    by_then = int(np.searchsorted(stream.steps, steps, side="right"))
    return float(stream.minutes[by_then - 1]) if by_then else 0.0


def snapshot_steps(evaluation: Evaluation, method: str) -> int | None:
    """Steps of the snapshot of a method that an evaluation is of; None where it is of something else."""
    name, _, steps = evaluation.place.rpartition("/step_")
    return int(steps) if name.rpartition("/")[2] == method and steps.isdigit() else None


def snapshot_counts(evaluations: Sequence[Evaluation], method: str) -> dict[int, dict[str, Counts]]:
    """Steps of each snapshot of a method that was evaluated -> direction/mode -> successes and episodes."""
    found: dict[int, dict[str, Counts]] = {}
    for each in evaluations:
        steps = snapshot_steps(each, method)
        if steps is not None:
            cells: Mapping[str, Mapping[str, Any]] = each.result["cells"]
            found[steps] = {cell: (of["successes"], of["episodes"]) for cell, of in cells.items()}
    return dict(sorted(found.items()))


def in_words(of: str, stream: Stream, evaluations: Sequence[Evaluation], method: str) -> list[str]:
    """Lines that say both; `of` names whose session it is."""
    counts, ends = stream_counts(stream), range(PART, stream.total_steps + PART, PART)
    ways = "; ".join(f"{way} {' '.join(f'{done}/{all_}' for done, all_ in counts[way])}" for way in DIRECTIONS)
    minutes = " ".join(f"{minutes_at(stream, end):.1f}" for end in ends)
    lines = [f"{of}: true successes of the stream by {PART:,} steps: {ways} (minutes {minutes})"]
    for steps, cells in snapshot_counts(evaluations, method).items():
        shown = ", ".join(f"{cell.replace('/', ' ')} {done}/{all_}" for cell, (done, all_) in cells.items())
        lines.append(f"{of}, from the evaluation's starts after {steps:,} steps: {shown}")
    return lines
