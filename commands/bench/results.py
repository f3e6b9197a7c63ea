"""Combine the cells of a bench: curves over seeds, a table, and figures for other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from commands.report.statistics import Estimate
from trajectories.conditions import first_difference

_LONGEST_VALUE = 40
_INTERVALS = (
    "Mean over seeds with a 95 % interval: success (from, to) with the seeds as clusters of episodes, returns ± "
    "half of it (Student's t)."
)
CELL_FILE = "cell.json"
RESULTS_FILE = "results.json"
Points = Mapping[str, Mapping[int, float]]
"""Measure ("stochastic/success") -> environment step -> value; NaN where the environment's own was none."""


@dataclass(frozen=True)
class Cell:
    """One environment, method and seed, done.

    Attributes:
        env: Gymnasium id or bench task.
        method: Its name.
        changes: What the command line changed about it, "key=value".
        seed: Of everything random.
        episodes: Of each evaluation.
        points: Evaluations; step 0 is the policy as trained offline.
        offline_s: Seconds of training offline, evaluations included.
        online_s: Seconds of training online, evaluations included.
        settings: What the numbers depend on.
        label: What curves and tables call it; None for the method and what was changed about it.
    """

    env: str
    method: str
    changes: tuple[str, ...]
    seed: int
    episodes: int
    points: Points
    offline_s: float
    online_s: float
    settings: Mapping[str, Any]
    label: str | None = None


def points_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """The evaluations in rows of metrics."""
    points: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith("eval/"):
                points.setdefault(name.removeprefix("eval/"), {})[int(row["step"])] = _number(value)
    return points


def read_cells(out: Path) -> list[Cell]:
    """All cells that are done, in order of environment, method, changes and seed."""
    cells = []
    for path in sorted((out / "cells").glob(f"*/*/*/{CELL_FILE}")):
        raw = json.loads(path.read_text(encoding="utf-8"))
        curves = raw["points"].items()
        points = {name: {int(step): _number(value) for step, value in curve.items()} for name, curve in curves}
        cells.append(Cell(**{**raw, "points": points, "changes": tuple(raw["changes"])}))
    return sorted(cells, key=lambda cell: (cell.env, cell.method, cell.changes, cell.seed))


def _number(value: float | None) -> float:
    """NaN for the null that stands for it in JSON."""
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Row:
    """A method in an environment, by one measure.

    Attributes:
        env: Environment.
        label: Method, and what sets it apart.
        measure: E.g. "stochastic/success".
        seeds: Which there are.
        episodes: Of each evaluation.
        steps: Environment steps of the last point that all seeds have.
        start: Before the first environment step.
        lowest: Lowest evaluation after the start: what a collapse looks like. NaN if one was no number.
        average: Mean over all evaluations after the start: how fast it learned.
        final: Last point.
        offline_minutes: Mean over seeds.
        minutes_per_1000_steps: Mean over seeds, evaluations included; None without online steps.
        learned: How it learned online, for a person; empty without online steps.
    """

    env: str
    label: str
    measure: str
    seeds: tuple[int, ...]
    episodes: int
    steps: int
    start: Estimate
    lowest: Estimate
    average: Estimate
    final: Estimate
    offline_minutes: float
    minutes_per_1000_steps: float | None
    learned: str = ""


def shared_changes(cells: Sequence[Cell]) -> tuple[str, ...]:
    """What was changed in all of the cells alike, so that labels need not say it."""
    return tuple(sorted(set.intersection(*(set(cell.changes) for cell in cells))))


def groups(cells: Sequence[Cell], shared: Sequence[str] = ()) -> dict[str, list[Cell]]:
    """Label (the cells' own; else method, and changes but for the shared ones) -> the seeds of one environment.

    Only seeds whose numbers came about alike are one group: cells of other data or other defaults are told apart.
    """
    variants: dict[tuple[str, tuple[str, ...], str], list[Cell]] = {}
    for cell in cells:
        variants.setdefault((cell.method, cell.changes, json.dumps(alike(cell.settings), sort_keys=True)), []).append(
            cell
        )
    found: dict[str, list[Cell]] = {}
    for (name, changes, _), mine in variants.items():
        long = ", ".join([name, *(change for change in changes if change not in shared)])
        label = next((cell.label for cell in mine if cell.label is not None), long)
        if label in found and label != long:
            label = f"{label} ({long})"
        while label in found:  # two may differ from the first of that label in the same way, and further on
            before, here = (alike(each[0].settings) for each in (found[label], mine))
            setting, _, value = first_difference(before, here) or ("", "", len(found))
            label = f"{label} ({setting} = {str(value)[:_LONGEST_VALUE]})"
        found[label] = mine
    return found


def alike(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the seeds of one group share of their settings: all but the seed and how long they acted."""
    shared = {name: value for name, value in settings.items() if name != "seed"}
    if "online" in shared:
        shared["online"] = {name: value for name, value in shared["online"].items() if name != "steps"}
    return shared


def common_steps(cells: Sequence[Cell], measure: str) -> list[int]:
    """Steps at which all of these cells were evaluated."""
    return sorted(set.intersection(*(set(cell.points.get(measure, {})) for cell in cells)))


def main_measures(cells: Iterable[Cell]) -> list[str]:
    """Success by every mode where all cells of the environment have it, else return; stochastic first."""
    names = set.intersection(*(set(cell.points) for cell in cells))
    kind = "success" if any(name.endswith("/success") for name in names) else "return"
    return sorted((name for name in names if name.endswith(f"/{kind}")), reverse=True)


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """A row for each environment, measure and method."""
    rows, shared = [], shared_changes(cells)
    for env in dict.fromkeys(cell.env for cell in cells):
        here = [cell for cell in cells if cell.env == env]
        for measure in main_measures(here):
            rows += [_row(label, mine, measure) for label, mine in groups(here, shared).items()]
    return rows


def estimate_of(measure: str, episodes: Sequence[int], values: Sequence[float], evaluations: int = 1) -> Estimate:
    """The mean over seeds of a measure.

    Args:
        measure: E.g. "stochastic/success".
        episodes: Of an evaluation of each seed.
        values: One a seed.
        evaluations: How many each value is the mean of.
    """
    if not measure.endswith("/success"):
        return Estimate.of(values)
    return Estimate.of_rates(values, [evaluations * count for count in episodes])


def _row(label: str, cells: Sequence[Cell], measure: str) -> Row:
    steps = common_steps(cells, measure)
    curves = [[cell.points[measure][step] for step in steps] for cell in cells]
    later = [curve[1:] or curve for curve in curves]
    episodes = [cell.episodes for cell in cells]
    estimate = partial(estimate_of, measure, episodes)
    rate = fmean(cell.online_s / max(cell.points[measure]) * 1000 for cell in cells) / 60 if steps[-1] > 0 else None
    return Row(
        env=cells[0].env,
        label=label,
        measure=measure,
        seeds=tuple(cell.seed for cell in cells),
        episodes=min(episodes),
        steps=steps[-1],
        start=estimate([curve[0] for curve in curves]),
        lowest=estimate([math.nan if any(map(math.isnan, curve)) else min(curve) for curve in later]),
        average=estimate([fmean(curve) for curve in later], evaluations=len(later[0])),
        final=estimate([curve[-1] for curve in curves]),
        offline_minutes=fmean(cell.offline_s for cell in cells) / 60,
        minutes_per_1000_steps=rate,
        learned=_learned(cells[0].settings.get("online")),
    )


def _learned(online: Mapping[str, Any] | None) -> str:
    """E.g. `UTD 4, first update after 1,000 steps, 50 % offline data`."""
    if not online:
        return ""
    offline = "no offline data" if online["offline_ratio"] == 0 else f"{online['offline_ratio']:.0%} offline data"
    return f"UTD {online['utd']}, first update after {online['warmup_steps']:,} steps, {offline}"


def markdown(rows: Sequence[Row], shared: Sequence[str] = ()) -> str:
    """A table for each environment, under what all cells were changed in."""
    lines = [f"All with {', '.join(shared)}.", ""] if shared else []
    for env in dict.fromkeys(row.env for row in rows):
        lines += [f"### {env}", "", _INTERVALS, ""]
        lines += [
            "| method | measure | seeds × episodes | start | lowest after | average after | last | steps "
            "| offline, min | online, min per 1,000 steps and its evaluations |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in (row for row in rows if row.env == env):
            mode, _, kind = row.measure.partition("/")
            unit = ", %" if kind == "success" else ""
            cells = (_shown(spread, kind) for spread in (row.start, row.lowest, row.average, row.final))
            rate = "-" if row.minutes_per_1000_steps is None else f"{row.minutes_per_1000_steps:.2f}"
            lines.append(
                f"| {row.label} | {kind}{unit}, {mode} | {len(row.seeds)} × {row.episodes} | {' | '.join(cells)} "
                f"| {row.steps:,} | {row.offline_minutes:.1f} | {rate} |"
            )
        ways: dict[str, list[str]] = {}
        for row in (row for row in rows if row.env == env and row.learned):
            ways[row.learned] = list(dict.fromkeys([*ways.get(row.learned, []), row.label]))
        lines += ["", *(f"- {', '.join(labels)}: {learned}." for learned, labels in ways.items())] if ways else []
        lines.append("")
    return "\n".join(lines)


def _shown(spread: Estimate, kind: str) -> str:
    if kind != "success":
        return spread.text(1.0)
    return spread.text(100.0) if math.isnan(spread.low) else str(spread.times(100.0))


def plain(value: Any) -> Any:
    """The same with null for NaN, which JSON doesn't know."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
