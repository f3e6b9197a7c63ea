"""`regrasp compare`: methods and seeds of one task side by side, with intervals over seeds."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from commands.demo.stages import Stages
from commands.report.charts import method_chart
from commands.report.comparison import (
    MethodRun,
    Row,
    best_lines,
    by_method,
    mean_curve,
    rows_of,
    runs_of,
    without_common_steps,
)
from factory.run_folders import elsewhere
from factory.spec import spec_of
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError


def markdown(rows: list[Row], runs: list[MethodRun]) -> str:
    """Two tables: success before and after, and what the training streams cost."""
    lines = [
        "| method | direction, actions | seeds × episodes | before, % | after, % | gain, points | after, each seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = ", ".join("-" if math.isnan(value) else f"{value:.0f}" for value in row.after.values)
        lines.append(
            f"| {row.method}, {row.steps} steps | {row.cell.replace('/', ', ')} | {row.seeds} × {row.episodes} "
            f"| {row.before} | {row.after} | {row.gain} | {each} |"
        )
    lines += [
        "",
        "| method | run | episodes | resets | judged done: true, false | not done: true, false | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, mine in by_method(runs).items():
        for run in mine:
            stream, spent = run.stream, minutes_of(run)
            counts = stream.confusion if stream.refereed.any() else dict.fromkeys(stream.confusion, "-")
            minutes = "-" if math.isnan(spent) else f"{spent:.1f}"
            lines.append(
                f"| {method} | {run.run.name} | {len(stream.judged)} | {int(stream.helped.sum())} "
                f"| {counts['true_positive']}, {counts['false_positive']} "
                f"| {counts['true_negative']}, {counts['false_negative']} "
                f"| {minutes} |"
            )
    return "\n".join(lines)


def minutes_of(run: MethodRun) -> float:
    """How long the demo's fine-tuning stage took, pauses between its parts left out; NaN when it was run by hand."""
    spent = Stages(run.run).spent(f"fine-tune ({run.method})")
    return math.nan if spent is None else spent / 60


def run(config: DictConfig) -> None:
    """Print the tables; write them, the chart and the figures as JSON."""
    out = Path(config.out)
    folders = sorted(Path(path) for path in config.runs) if config.runs else sorted(out.glob("seed*"))
    runs = runs_of(folders, spec_of(config), elsewhere(config), config.conditions)
    if not runs:
        raise CheckpointError(
            f"No run with evaluations before and after fine-tuning in {[str(f) for f in folders] or out}. "
            f"`regrasp demo task={config.task.name} seed=1` makes one; with method=retention it adds a method to it."
        )
    rows = rows_of(runs)
    text = markdown(rows, runs)
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "comparison.md", (text + "\n").encode())
    replace_file(out / "comparison.json", json.dumps([asdict(row) for row in rows], indent=1).encode())
    curves = {
        direction: {
            f"{method} ({len(mine)} seeds)": mean_curve(mine, f"{direction}/stochastic")
            for method, mine in by_method(runs).items()
        }
        for direction in ("forward", "backward")
    }
    replace_file(out / "comparison.svg", method_chart(curves).encode())
    print(text)
    if min(len(mine) for mine in by_method(runs).values()) < 2:
        print("\nA method with a single seed has no interval: run `regrasp demo seed=...` for more.")
    for line in without_common_steps(runs):
        print(f"\n{line}")
    best = best_lines(rows)
    if best:
        print("\n".join(["\nBest after fine-tuning:", *best]))
    print(f"Written: {out / 'comparison.md'}, {out / 'comparison.svg'}, {out / 'comparison.json'}")
