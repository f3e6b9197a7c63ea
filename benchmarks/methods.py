"""Compare every method of the registry on the robot's path in the twin: one seed, published values, no tuning.

    python benchmarks/methods.py [run_dir=runs/methods] [steps=3000] [episodes=50] [only=wsrl,rlpd] [workers=2]

Data and reward model are made once; then each method pre-trains, fine-tunes judged by the reward model alone, and is
evaluated by the twin's predicate before and after, on the same starts. What is done is not done again. Prints the table
of docs/results/methods.md, also for the methods done so far.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.verb import regrasp
from commands.evaluate.conditions import Evaluation, evaluations_in, require_alike
from commands.report.statistics import format_rate
from policies.agent.methods import METHODS, method

MODES = ("stochastic", "deterministic")
OWN = "regrasp"


def run_method(name: str, run_dir: Path, steps: int, episodes: int, workers: str) -> None:
    """Train and evaluate one method; a subprocess a verb, as a person would type it."""
    shared = [f"run_dir={run_dir}", f"method={name}", f"evaluate.episodes={episodes}", "evaluate.videos=0"]
    shared.append(f"workers={workers}")
    if name == OWN or method(name, 7).online:
        regrasp("demo", *shared, f"finetune.steps={steps}", f"finetune.snapshot_every={steps}")
    else:
        regrasp("pretrain", *shared)
        regrasp("evaluate", *shared, "checkpoint=pretrained")


def cells(evaluations: Sequence[Evaluation], place: str) -> Mapping[str, Any]:
    """Direction/mode -> its figures, of a policy's evaluation; empty where there is none."""
    return next((each.result["cells"] for each in evaluations if each.place == place), {})


def row(name: str, run_dir: Path, steps: int) -> list[str]:
    """A line of the table: before and after, both directions, both kinds of actions."""
    evaluations = evaluations_in(run_dir / "evaluations")
    require_alike(evaluations, "Give another run_dir.")
    before = cells(evaluations, "pretrained" if name == OWN else f"pretrained_{name}")
    after = cells(evaluations, f"{name}/step_{steps}")
    line = [name]
    for direction in ("forward", "backward"):
        for mode in MODES:
            pair = (found.get(f"{direction}/{mode}") for found in (before, after))
            line.append(" → ".join(format_rate(c["successes"], c["episodes"]) if c else "–" for c in pair))
    return line


def table(names: list[str], run_dir: Path, steps: int) -> str:
    """The table in Markdown."""
    head = ["method", *(f"{d}, {m}" for d in ("forward", "backward") for m in MODES)]
    lines = [head, ["---"] * len(head), *(row(name, run_dir, steps) for name in names)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: list[str]) -> None:
    """Run what isn't done, print the table after each method."""
    given = dict(argument.split("=", 1) for argument in arguments)
    run_dir = Path(given.pop("run_dir", "runs/methods"))
    steps, episodes = int(given.pop("steps", 3000)), int(given.pop("episodes", 50))
    workers = given.pop("workers", "${cores:}")
    names = given.pop("only", ",".join([OWN, *METHODS.own])).split(",")
    if given:
        sys.exit(f"unknown: {', '.join(given)}; see the first lines of {Path(__file__).name}")
    for name in names:
        run_method(name, run_dir, steps, episodes, workers)
        print(table(names, run_dir, steps), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
