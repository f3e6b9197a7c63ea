"""Success of methods over the runs (seeds) of one task: what `regrasp compare` tabulates and draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.report.data import Stream, curve, evaluation, open_stream
from commands.report.statistics import Estimate
from factory.run_folders import evaluation_folder, start_of, tuning_folder
from trajectories.types import RobotSpec


@dataclass(frozen=True)
class MethodRun:
    """One method's fine-tuning in one run folder.

    Attributes:
        run: The run's folder.
        method: Name of the method.
        curve: Environment steps -> cells of the evaluation at that point; 0 is the pre-trained policy.
        stream: The training stream.
    """

    run: Path
    method: str
    curve: dict[int, dict[str, Any]]
    stream: Stream


def runs_of(folders: Sequence[Path], spec: RobotSpec) -> list[MethodRun]:
    """Every method that was fine-tuned and evaluated in these run folders."""
    found = []
    for folder in folders:
        evaluations = folder / "evaluations"
        for path in sorted(evaluations.iterdir()) if evaluations.is_dir() else ():
            points = curve(path)
            before = evaluation(evaluation_folder(evaluations, start_of(folder, path.name)))
            if before and points and (episodes := tuning_folder(folder, path.name) / "episodes").is_dir():
                cells = {0: before["cells"]} | {point.steps: point.cells for point in points}
                found.append(MethodRun(folder, path.name, cells, open_stream(episodes, spec)))
    return found


def in_percent(shares: Sequence[float], floor: float = 0.0) -> Estimate:
    """The estimate in percent from one share a seed, each in [floor, 1]; so is the interval."""
    whole = Estimate.of([100 * share for share in shares])
    return replace(whole, low=max(whole.low, 100 * floor), high=min(whole.high, 100.0))


@dataclass(frozen=True)
class Row:
    """One method in one direction and mode, at the last point that all of its seeds have."""

    method: str
    cell: str
    steps: int
    seeds: int
    episodes: int
    before: Estimate
    after: Estimate
    gain: Estimate


def rows_of(runs: Sequence[MethodRun]) -> list[Row]:
    """A row for each method, direction and mode."""
    rows = []
    for method, mine in by_method(runs).items():
        common = [steps for steps in mine[0].curve if all(steps in run.curve for run in mine)]
        cells = set.intersection(*(set(run.curve[max(common)]) & set(run.curve[0]) for run in mine))
        for cell in sorted(cells, key=lambda name: (name.startswith("backward"), name.endswith("deterministic"))):
            after = [run.curve[max(common)][cell] for run in mine]
            before = [run.curve[0][cell]["rate"] for run in mine]
            rates = [entry["rate"] for entry in after]
            gains = [b - a for a, b in zip(before, rates, strict=True)]
            rows.append(
                Row(
                    method,
                    cell,
                    max(common),
                    len(mine),
                    min(entry["episodes"] for entry in after),
                    in_percent(before),
                    in_percent(rates),
                    in_percent(gains, floor=-1.0),
                )
            )
    return rows


def by_method(runs: Sequence[MethodRun]) -> dict[str, list[MethodRun]]:
    """The runs of each method, `regrasp` first."""
    names = sorted({run.method for run in runs}, key=lambda name: (name != "regrasp", name))
    return {name: [run for run in runs if run.method == name] for name in names}


def mean_curve(
    runs: Sequence[MethodRun], cell: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Steps that all runs have, mean success over seeds, and its interval's bounds (NaN for one seed); percent."""
    steps = sorted(s for s in runs[0].curve if all(cell in run.curve.get(s, {}) for run in runs))
    estimates = [in_percent([run.curve[s][cell]["rate"] for run in runs]) for s in steps]
    return (
        np.array(steps, dtype=np.int64),
        np.array([e.mean for e in estimates]),
        np.array([e.low for e in estimates]),
        np.array([e.high for e in estimates]),
    )
