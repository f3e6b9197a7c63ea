"""`regrasp compare`: methods and seeds of one task side by side, with intervals over seeds."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from commands.demo.stages import Stages
from commands.report.charts import Curve, method_chart
from commands.report.comparison import (
    MethodRun,
    Row,
    best_lines,
    by_method,
    mean_curve,
    rows_of,
    runs_of,
    stream_curve,
    stream_rows,
    unevaluated,
    without_common_steps,
)
from commands.report.sections import SHARES, minutes_of_training
from commands.report.statistics import Estimate
from factory.run_folders import elsewhere
from factory.spec import spec_of
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.types import DIRECTIONS, Direction


def markdown(rows: list[Row], runs: list[MethodRun]) -> str:
    """Tables: success before and after by evaluations, where there are some, in training, and what that cost."""
    lines = []
    if rows:
        lines += [
            "| method | direction, actions | seeds × episodes | before, % | after, % | gain, points "
            "| after, each seed |",
            "|---|---|---|---|---|---|---|",
        ]
    for row in rows:
        lines.append(
            f"| {row.method}, {row.steps} steps | {row.cell.replace('/', ', ')} | {row.seeds} × {row.episodes} "
            f"| {row.before} | {row.after} | {row.gain} | {_each(row.after)} |"
        )
    lines += [
        "",
        f"| in training, by the judge | runs | first 1/{SHARES} of the steps, % | last 1/{SHARES}, % | gain, points "
        "| last, each run |",
        "|---|---|---|---|---|---|",
    ]
    for part in stream_rows(runs):
        lines.append(
            f"| {part.method}, {part.direction}, {part.steps} steps | {part.seeds} | {part.first} | {part.last} "
            f"| {part.gain} | {_each(part.last)} |"
        )
    lines += [
        "",
        "| method | run | episodes | resets | holds, faults | judged done: true, false | not done: true, false "
        "| minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, mine in by_method(runs).items():
        for run in mine:
            stream = run.stream
            counts = stream.confusion if stream.refereed.any() else dict.fromkeys(stream.confusion, "-")
            lines.append(
                f"| {method} | {run.run.name} | {len(stream.judged)} | {int(stream.helped.sum())} "
                f"| {sum(map(bool, stream.faults))} "
                f"| {counts['true_positive']}, {counts['false_positive']} "
                f"| {counts['true_negative']}, {counts['false_negative']} "
                f"| {minutes_of(run):.1f} |"
            )
    return "\n".join(lines).lstrip()


def _each(estimate: Estimate) -> str:
    return ", ".join("-" if math.isnan(value) else f"{value:.0f}" for value in estimate.values)


def minutes_of(run: MethodRun) -> float:
    """How long the demo's fine-tuning stage took, or else the stream by its episodes; pauses left out of both."""
    spent = Stages(run.run).spent(f"fine-tune ({run.method})") if not run.elsewhere else None
    return minutes_of_training(run.stream) if spent is None else spent / 60


def run(config: DictConfig) -> None:
    """Print the tables; write them, the chart and the figures as JSON."""
    out = Path(config.out)
    folders = sorted(Path(path) for path in config.runs) if config.runs else sorted(out.glob("seed*"))
    evaluated = runs_of(folders, spec_of(config), elsewhere(config), config.conditions)
    known = {(each.run, each.method) for each in evaluated}
    rest = [each for each in unevaluated(folders, elsewhere(config)) if (each.run, each.method) not in known]
    runs = [*evaluated, *rest]
    if not runs:
        raise CheckpointError(
            f"No fine-tuning with robot={config.robot.name} in {[str(f) for f in folders] or out}. `regrasp finetune` "
            f"with the same settings makes one; `regrasp demo task={config.task.name} seed=1` one with all that comes "
            "before and after it, in the twin, and with method=retention it adds a method to it."
        )
    rows = rows_of(evaluated)
    text = markdown(rows, runs)
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "comparison.md", (text + "\n").encode())
    figures = [*map(asdict, rows), *map(asdict, stream_rows(runs))]
    replace_file(out / "comparison.json", json.dumps(figures, indent=1).encode())
    replace_file(out / "comparison.svg", method_chart(*_curves(evaluated, runs)).encode())
    print(text)
    if min(len(mine) for mine in by_method(runs).values()) < 2:
        print("\nA method with a single run has no interval: run more of them, with seed=...")
    for each in rest:
        print(f"\n{each.run}, {each.method}: not evaluated before and after fine-tuning, so only in training.")
    for line in without_common_steps(evaluated):
        print(f"\n{line}")
    best = best_lines(rows)
    if best:
        print("\n".join(["\nBest after fine-tuning:", *best]))
    print(f"Written: {out / 'comparison.md'}, {out / 'comparison.svg'}, {out / 'comparison.json'}")


def _curves(evaluated: list[MethodRun], runs: list[MethodRun]) -> tuple[dict[Direction, dict[str, Curve]], str]:
    """Direction -> method -> curve, and who judged: evaluations where there are some, otherwise the streams."""
    if not evaluated:
        return {
            way: {f"{name} ({len(mine)} runs)": stream_curve(mine, way) for name, mine in by_method(runs).items()}
            for way in DIRECTIONS
        }, "in training, by the judge"
    return {
        way: {
            f"{name} ({len(mine)} seeds)": mean_curve(mine, f"{way}/stochastic")
            for name, mine in by_method(evaluated).items()
        }
        for way in DIRECTIONS
    }, "stochastic actions"
