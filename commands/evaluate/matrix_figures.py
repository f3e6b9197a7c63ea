"""The figures of a matrix: what matrix.json holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from commands.evaluate.axes import CONTROL
from commands.evaluate.matrix_episode import FAULT, NOT_BEGUN
from commands.report.statistics import format_rate, paired_interval, wilson_interval
from trajectories.conditions import short_digest
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS

MATRIX = "matrix.json"
FORMAT = 1


@dataclass(frozen=True)
class Question:
    """What was asked.

    Attributes:
        policy: Folder or address.
        policy_digest: Of what acted.
        policy_version: Of its weights.
        episodes: Per task, change, direction and mode.
        modes: How actions were taken from the policy.
        seed: Of the starts.
        control_hz: Control steps a second, which delays are counted in.
        axes: Change -> what it means, the control first.
    """

    policy: str
    policy_digest: str
    policy_version: int
    episodes: int
    modes: tuple[str, ...]
    seed: int
    control_hz: float
    axes: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One task under one change.

    Attributes:
        task: Its name.
        axis: What is changed; `CONTROL` for nothing.
        conditions: What the episodes hold for.
        missing: Why there are none, where the change isn't one in this task.
        episodes: Each with direction, mode, index, success, steps, instruction, share and, where it was, `FAULT` or
            `NOT_BEGUN`.
        error: What ended it, so that there are no figures of it.
    """

    task: str
    axis: str
    conditions: Mapping[str, Any]
    missing: str | None
    episodes: Sequence[Mapping[str, Any]]
    error: str | None = None


def figures_of(question: Question, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything that matrix.json holds, plain JSON; nothing in it depends on the machine, the workers or the hour."""
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry: dict[str, Any] = {
            "conditions": dict(row.conditions),
            "conditions_digest": short_digest(row.conditions),
        }
        if row.missing is not None:
            entry["not_applicable"] = row.missing
        elif row.error is not None:
            entry["error"] = row.error
        else:
            control = next(r for r in rows if (r.task, r.axis) == (row.task, CONTROL))
            entry["cells"] = _cells(question, row, control)
            entry["episodes"] = [dict(episode) for episode in row.episodes]
        tasks.setdefault(row.task, {})[row.axis] = entry
    return {"format": FORMAT, **json.loads(json.dumps(asdict(question))), "tasks": tasks}


def _cells(question: Question, row: Row, control: Row) -> dict[str, dict[str, Any]]:
    cells = {}
    for direction in DIRECTIONS:
        for mode in question.modes:
            mine, theirs = (
                {e["index"]: e for e in one.episodes if (e["direction"], e["mode"]) == (direction, mode) and _begun(e)}
                for one in (row, control)
            )
            measured = control.error is None
            if measured:  # what didn't begin in one arm is left out of the pair
                mine = {index: episode for index, episode in mine.items() if index in theirs}
            cell = _cell(list(mine.values())) | {"left_out": question.episodes - len(mine)}
            if row is not control and measured:
                cell["difference"] = _difference(mine, theirs)
            cells[f"{direction}/{mode}"] = cell
    return cells


def _begun(episode: Mapping[str, Any]) -> bool:
    return NOT_BEGUN not in episode


def _cell(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    wins = sum(bool(episode["success"]) for episode in episodes)
    cell = {
        "episodes": len(episodes),
        "successes": wins,
        "rate": wins / len(episodes) if episodes else None,
        "interval95": list(wilson_interval(wins, len(episodes))),
        "mean_steps": fmean(episode["steps"] for episode in episodes) if episodes else None,
        "faults": sum(FAULT in episode for episode in episodes),
    }
    shares = [episode["share"] for episode in episodes if episode["share"] is not None]
    return cell | ({"mean_share": fmean(shares)} if shares else {})


def _difference(changed: Mapping[int, Mapping[str, Any]], control: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Of the same starts: pairs of episodes by their index."""
    pairs = [(bool(control[index]["success"]), bool(episode["success"])) for index, episode in sorted(changed.items())]
    lost, gained = pairs.count((True, False)), pairs.count((False, True))
    mean, low, high = paired_interval(lost, gained, len(pairs))
    return {"pairs": len(pairs), "lost": lost, "gained": gained, "mean": mean, "interval95": [low, high]}


def require_not_shorter(out: Path, question: Question) -> None:
    """Refuse to put a matrix of fewer episodes in the place of a longer one that has all its figures.

    Raises:
        ConfigError: Saying how many there are.
    """
    path = out / MATRIX
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        there = 0 if _unmeasured(found) else int(found["episodes"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}). Move it away; the episodes stay.") from error
    if there > question.episodes:
        raise ConfigError(
            f"{out} holds this matrix with {there} episodes, and one with {question.episodes} would take its place. "
            f"Give evaluate.episodes={there} or more, or other starts with evaluate.seed."
        )


def _unmeasured(figures: Mapping[str, Any]) -> bool:
    """Whether an error kept some part of a matrix without figures."""
    return any("error" in entry for task in figures["tasks"].values() for entry in task.values())


def cell_names(figures: Mapping[str, Any]) -> list[str]:
    """Directions and modes, "forward/stochastic" and so on."""
    return [f"{direction}/{mode}" for direction in DIRECTIONS for mode in figures["modes"]]


def told_apart(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference leaves out 0."""
    low, high = difference["interval95"]
    return bool(low > 0 or high < 0)


def in_points(difference: Mapping[str, Any]) -> str:
    """A difference in percentage points with its interval, e.g. "-20 (-41 to +3)"."""
    low, high = difference["interval95"]
    return f"{_signed(difference['mean'])} ({_signed(low)} to {_signed(high)})"


def _signed(share: float) -> str:
    points = round(100 * share)
    return f"{points:+d}" if points else "0"


def matrix_table(figures: Mapping[str, Any]) -> str:
    """The matrix as lines for a terminal; a star where the interval of the difference leaves out 0."""
    lines = []
    for task, axes in figures["tasks"].items():
        for cell in cell_names(figures):
            lines.append(f"{task}, {cell.replace('/', ', ')}")
            for axis, entry in axes.items():
                if "cells" not in entry:
                    lines.append(f"  {axis:14} -  {entry.get('not_applicable') or entry['error']}")
                    continue
                found = entry["cells"][cell]
                rate = format_rate(found["successes"], found["episodes"])
                change = found.get("difference")
                said = "" if change is None else f"{in_points(change)} points{' *' if told_apart(change) else ''}"
                left = f"  {found['left_out']} left out" if found["left_out"] else ""
                lines.append(f"  {axis:14} {rate:28} {said}{left}".rstrip())
    return "\n".join(lines)
