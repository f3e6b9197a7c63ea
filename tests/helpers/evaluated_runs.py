"""Run folders with evaluations and a training stream, as `regrasp demo` leaves them."""

import json
from dataclasses import replace
from pathlib import Path

from commands.evaluate.conditions import ARRANGED, PREDICATE, Conditions
from helpers.trajectory_samples import SPEC, sample_episode
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

CONDITIONS = Conditions("pot_pick_place", "twin", "wx250s", PREDICATE, None, ("front",), 96, "wide", True, 70000, 40)
ON_THE_ARM = replace(CONDITIONS, robot="widowx", judge="person", spread=ARRANGED, randomise=None)


def evaluated(root: Path, place: str, rate: float, conditions: Conditions = CONDITIONS, episodes: int = 20) -> Path:
    """Write an evaluation of one cell."""
    cell = {"episodes": episodes, "successes": round(rate * episodes), "rate": rate, "interval95": [0, 1]}
    result = {
        "conditions": conditions.to_dict(), "conditions_digest": conditions.digest, "policy_digest": "p",
        "cells": {"forward/stochastic": cell | {"mean_steps": 9.0, "mean_steps_of_successes": None}}, "videos": [],
    }  # fmt: skip
    folder = root / conditions.digest / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def evaluated_before(root: Path, place: str, rate: float) -> Path:
    """The same as commit 106ae2a wrote it: without conditions, in a folder that other ones share."""
    folder = evaluated(root, place, rate)
    old = root / place
    old.mkdir(parents=True)
    cells = json.loads((folder / "result.json").read_text())["cells"]
    (folder / "result.json").unlink()
    result = {
        "task": "pot_pick_place", "robot": "twin", "arm": "wx250s", "judge": "physics predicate",
        "observations": "cameras ['front'] at 96x96, proprioception, instruction; no privileged state",
        "start_spread": "wide", "seed": 70000, "max_steps": 40, "policy_digest": "p", "cells": cells, "videos": [],
    }  # fmt: skip
    (old / "result.json").write_text(json.dumps(result))
    return old


def tuned(run: Path, name: str = "regrasp", refereed: bool = True) -> None:
    """A training stream of two episodes."""
    with TrajectoryStore(run / f"finetune_{name}" / "episodes", SPEC) as store:
        for number in range(2):
            store.commit(sample_episode(number, metadata={"evaluation": {"success": True}} if refereed else {}))


def trained(run: Path, name: str, judged: str, spec: RobotSpec = SPEC, faults: int = 0) -> None:
    """A training stream by the method `regrasp` without a referee, forward and backward in turn, 4 steps an episode.

    Args:
        run: The run's folder.
        name: Of the fine-tuning.
        judged: The judge's word about each episode, 1 or 0.
        spec: The robot's.
        faults: How many episodes after these a fault cuts short; the first of these came after a reset.
    """
    about = {"method": "regrasp", "kind": "online"}
    with TrajectoryStore(run / f"finetune_{name}" / "episodes", spec) as store:
        for number in range(len(judged) + faults):
            whole = number < len(judged)
            outcome = ("success" if judged[number] == "1" else "failure") if whole else "unknown"
            extra = {} if whole else {"fault": f"StaleDataError: joints are {number} ms old", "help": "lost"}
            direction = "backward" if number % 2 else "forward"
            metadata = about | extra
            store.commit(sample_episode(number, spec=spec, direction=direction, outcome=outcome, metadata=metadata))


def run_folder(run: Path, before: float, after: float, steps: int = 1000, conditions: Conditions = CONDITIONS) -> Path:
    """A run whose `regrasp` was evaluated at 0 and at `steps` steps."""
    evaluated(run / "evaluations", "pretrained", before, conditions)
    evaluated(run / "evaluations", f"regrasp/step_{steps}", after, conditions)
    if not (run / "finetune_regrasp").exists():
        tuned(run)
    return run
