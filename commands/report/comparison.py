"""Success of methods over the runs (seeds) of one task: what `regrasp compare` tabulates and draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.evaluate.conditions import Evaluation, evaluations_in, fits, require_alike
from commands.report.charts import Curve
from commands.report.data import Stream, open_stream, stream_of
from commands.report.sections import PARTS, first_and_last
from commands.report.statistics import Estimate
from factory.run_folders import start_of, tuning_folder
from policies.learner.run_folder import EPISODES
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, Direction, RobotSpec


@dataclass(frozen=True)
class MethodRun:
    """One method's fine-tuning in one run folder.

    Attributes:
        run: The run's folder.
        method: Name of the method.
        curve: Environment steps -> cells of the evaluation at that point; 0 is the pre-trained policy. Empty where it
            was not evaluated.
        stream: The training stream.
        elsewhere: What names end with where the robot is not the twin, see `factory.run_folders.elsewhere`.
    """

    run: Path
    method: str
    curve: dict[int, dict[str, Any]]
    stream: Stream
    elsewhere: str = ""


def runs_of(
    folders: Sequence[Path], spec: RobotSpec, elsewhere: str = "", conditions: str | None = None
) -> list[MethodRun]:
    """Every method that was fine-tuned and evaluated in these run folders, all under the same conditions.

    Args:
        folders: Run folders.
        spec: The robot.
        elsewhere: What names end with where the robot is not the twin, see `factory.run_folders.elsewhere`.
        conditions: Digest of the conditions to compare under; None where there is one that all have.

    Raises:
        ConfigError: The runs weren't evaluated under the same conditions, or under several.
    """
    evaluations = {folder: evaluations_in(folder / f"evaluations{elsewhere}") for folder in folders}
    whole = [each for mine in evaluations.values() for each in mine if "image_size" in each.conditions]
    whole.sort(key=lambda each: -len(each.conditions))
    found = {
        (folder, name): each
        for folder, mine in evaluations.items()
        for name, each in _tunings(folder, mine, whole, elsewhere).items()
    }
    found = {key: each for key, each in found.items() if each}
    digest = _common([*found.values()], conditions)
    runs = []
    for (folder, tuning), by_digest in found.items():
        points = by_digest[digest]
        curve = {steps: evaluation.cells for steps, evaluation in sorted(points.items())}
        stream = open_stream(tuning_folder(folder, tuning) / EPISODES, spec)
        runs.append(MethodRun(folder, tuning.removesuffix(elsewhere), curve, stream, elsewhere))
    return runs


def unevaluated(folders: Sequence[Path], elsewhere: str = "") -> list[MethodRun]:
    """Every fine-tuning on the robot in these run folders, evaluated or not, by its own episodes; without a curve.

    Args:
        folders: Run folders.
        elsewhere: See `runs_of`.
    """
    runs = []
    for folder in folders:
        for path in sorted(folder.glob(f"finetune_*/{EPISODES}")):
            with TrajectoryStore(path, read_only=True) as store:
                infos = store.infos()
            methods = {str(info.metadata.get("method")) for info in infos}
            for method in methods:  # one; the name of another robot's folder ends otherwise
                if path.parent == tuning_folder(folder, method + elsewhere):
                    runs.append(MethodRun(folder, method, {}, stream_of(infos), elsewhere))
    return runs


def _tunings(
    folder: Path, evaluations: Sequence[Evaluation], whole: Sequence[Evaluation], elsewhere: str
) -> dict[str, dict[str, dict[int, Evaluation]]]:
    """Fine-tuning -> digest of the conditions -> environment steps -> evaluation; before fine-tuning at 0 steps.

    Only conditions under which both the start and a snapshot were evaluated.

    Args:
        folder: Of the run.
        evaluations: Its own.
        whole: Of all runs, those that say most of their conditions first.
        elsewhere: See `runs_of`.
    """
    found: dict[str, dict[str, dict[int, Evaluation]]] = {}
    for tuning in sorted({e.place.split("/")[0] for e in evaluations if "/step_" in e.place} - {"other"}):
        if not (tuning_folder(folder, tuning) / EPISODES).is_dir():
            continue
        start = start_of(folder, tuning, elsewhere).name
        points: dict[str, dict[int, Evaluation]] = {}
        for evaluation in evaluations:
            name, _, step = evaluation.place.partition("/step_")
            if evaluation.place == start or name == tuning:
                points.setdefault(_known_as(evaluation, whole), {})[int(step or 0)] = evaluation
        found[tuning] = {digest: each for digest, each in points.items() if 0 in each and len(each) > 1}
    return found


def _known_as(evaluation: Evaluation, others: Sequence[Evaluation]) -> str:
    """Its digest, or, where an earlier version noted less of the conditions, that of others that fit all it noted."""
    for other in others:
        if fits(evaluation.conditions, other.conditions):
            return other.digest
    return evaluation.digest


def _common(found: Sequence[Mapping[str, Mapping[int, Evaluation]]], wanted: str | None) -> str:
    """The digest of the conditions under which all were evaluated.

    Raises:
        ConfigError: When there is none, or several and no word which.
    """
    if not found:
        return ""
    shared = set.intersection(*(set(by_digest) for by_digest in found))
    if wanted is not None:
        shared = {digest for digest in shared if digest.startswith(wanted)}
    if len(shared) == 1:
        return shared.pop()
    if shared:
        examples = [found[0][digest][0] for digest in sorted(shared)]
        require_alike(examples, f"All runs have these; say which with conditions={'|'.join(sorted(shared))}.")
    if wanted is not None:
        raise ConfigError(f"Not every run was evaluated under conditions={wanted}, before and after fine-tuning.")
    rarest = min((set(by_digest) for by_digest in found), key=len)
    first = next(by_digest[min(rarest)][0] for by_digest in found if min(rarest) in by_digest)
    other = next(by_digest[min(by_digest)][0] for by_digest in found if min(rarest) not in by_digest)
    require_alike([first, other], "Run `regrasp evaluate` for all of them with the same settings.")
    raise ConfigError(f"{first.folder} and {other.folder} were not evaluated under the same conditions.")


@dataclass(frozen=True)
class StreamRow:
    """One method's training streams in one direction, by the judge, in equal shares of steps; percent.

    Attributes:
        method: Its name.
        direction: "forward" or "backward".
        steps: As far as the shortest stream goes.
        seeds: How many streams.
        first: Success in the first share.
        last: Success in the last one.
        gain: Between them.
    """

    method: str
    direction: Direction
    steps: int
    seeds: int
    first: Estimate
    last: Estimate
    gain: Estimate


def stream_rows(runs: Sequence[MethodRun]) -> list[StreamRow]:
    """A row for each method and direction; the streams of a method count as far as the shortest of them goes."""
    rows = []
    for method, mine in by_method(runs).items():
        steps = min(run.stream.total_steps for run in mine)
        for way in DIRECTIONS:
            first, last = zip(*(first_and_last(run.stream, way, steps) for run in mine), strict=True)
            rows.append(StreamRow(method, way, steps, len(mine), *_compared(_of_tallies(first), _of_tallies(last))))
    return rows


_Rates = Sequence[tuple[float, int]]
"""Success and number of episodes of each run."""


def _of_tallies(tallies: Sequence[tuple[int, int]]) -> _Rates:
    """From successes and episodes of each run; nothing is known where a run has no episode."""
    return [(done / trials if trials else math.nan, trials) for done, trials in tallies]


def _percent(rates: _Rates) -> Estimate:
    return Estimate.of_rates([rate for rate, _ in rates], [trials for _, trials in rates]).times(100)


def _compared(before: _Rates, after: _Rates) -> tuple[Estimate, Estimate, Estimate]:
    """Percent before, after, and gained."""
    trials = [(one, other) for (_, one), (_, other) in zip(before, after, strict=True)]
    gain = Estimate.of_gains([rate for rate, _ in before], [rate for rate, _ in after], trials)
    return _percent(before), _percent(after), gain.times(100)


@dataclass(frozen=True)
class Row:
    """One method in one direction and mode, at the last point that all of its seeds have; percent."""

    method: str
    cell: str
    steps: int
    seeds: int
    episodes: int
    before: Estimate
    after: Estimate
    gain: Estimate


def rows_of(runs: Sequence[MethodRun]) -> list[Row]:
    """A row for each direction and mode of each method whose seeds share a point after the start."""
    rows = []
    for method, mine in by_method(runs).items():
        common = common_steps(mine)
        if not common:
            continue
        cells = set.intersection(*(set(run.curve[common[-1]]) & set(run.curve[0]) for run in mine))
        for cell in sorted(cells, key=lambda name: (name.startswith("backward"), name.endswith("deterministic"))):
            before, after = ([run.curve[step][cell] for run in mine] for step in (0, common[-1]))
            rows.append(
                Row(
                    method,
                    cell,
                    common[-1],
                    len(mine),
                    min(entry["episodes"] for entry in after),
                    *_compared(_of_entries(before), _of_entries(after)),
                )
            )
    return rows


def common_steps(runs: Sequence[MethodRun]) -> list[int]:
    """Environment steps after the start at which all seeds of a method were evaluated."""
    return sorted(set.intersection(*(set(run.curve) for run in runs)) - {0})


def without_common_steps(runs: Sequence[MethodRun]) -> list[str]:
    """A line for each method whose seeds can't be put together, for a person."""
    lines = []
    for method, mine in by_method(runs).items():
        if not common_steps(mine):
            steps = "; ".join(f"{run.run.name}: {', '.join(str(s) for s in sorted(run.curve) if s)}" for run in mine)
            lines.append(f"{method} is left out: its seeds were never evaluated at the same number of steps ({steps}).")
    return lines


def best_lines(rows: Sequence[Row]) -> list[str]:
    """Which method did best, for each direction and mode and number of steps that several methods share.

    A method that another one's interval reaches is not called better.
    """
    lines = []
    for cell, steps in dict.fromkeys((row.cell, row.steps) for row in rows):
        alike = [row for row in rows if (row.cell, row.steps) == (cell, steps)]
        if len(alike) < 2:
            continue
        best = max(alike, key=lambda row: row.after.mean)
        near = [row.method for row in alike if row is not best and not row.after.high < best.after.low]
        unsure = f"; not told apart from {', '.join(near)}" if near else ""
        lines.append(f"{cell.replace('/', ', ')} at {steps} steps: {best.method}, {best.after} %{unsure}")
    return lines


def _of_entries(entries: Sequence[Mapping[str, Any]]) -> _Rates:
    return [(entry["rate"], entry["episodes"]) for entry in entries]


def by_method(runs: Sequence[MethodRun]) -> dict[str, list[MethodRun]]:
    """The runs of each method, `regrasp` first."""
    names = sorted({run.method for run in runs}, key=lambda name: (name != "regrasp", name))
    return {name: [run for run in runs if run.method == name] for name in names}


def stream_curve(runs: Sequence[MethodRun], direction: Direction) -> Curve:
    """Ends of equal parts of the training streams, as far as the shortest goes; as `mean_curve` has success in each."""
    edges = np.linspace(0, min(run.stream.total_steps for run in runs), PARTS + 1).round().astype(np.int64)
    estimates = []
    for after, until in itertools.pairwise(edges):
        estimates.append(_percent(_of_tallies([run.stream.tally(direction, after, until) for run in runs])))
    return _curve(edges[1:], estimates)


def mean_curve(runs: Sequence[MethodRun], cell: str) -> Curve:
    """Steps that all runs have, mean success over seeds, and its interval's bounds (NaN for one seed); percent."""
    steps = sorted(s for s in runs[0].curve if all(cell in run.curve.get(s, {}) for run in runs))
    estimates = [_percent(_of_entries([run.curve[s][cell] for run in runs])) for s in steps]
    return _curve(np.array(steps, dtype=np.int64), estimates)


def _curve(steps: NDArray[np.int64], estimates: Sequence[Estimate]) -> Curve:
    return (
        steps,
        np.array([e.mean for e in estimates]),
        np.array([e.low for e in estimates]),
        np.array([e.high for e in estimates]),
    )
