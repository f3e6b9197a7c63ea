"""`regrasp evaluate`: success rates of a policy, in the twin judged by the physics predicate that it never sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import attended
from commands.engine.engine import engine_of, require_local
from commands.engine.interface import Engine
from commands.engine.jobs import run_jobs
from commands.engine.local import LocalEngine
from commands.evaluate.conditions import PREDICATE, RESULT, Conditions, Evaluation, conditions_of, find_evaluation
from commands.evaluate.matrix import evaluate_matrix
from commands.evaluate.trials import MODES, Trial, TrialResult, require_amounts, run_in_twin, run_trial, write_film
from commands.evaluate.unfinished import Ended, Run, forget, going_on, unfinished
from commands.evaluate.verdicts import judge_of
from commands.report.statistics import format_rate, wilson_interval
from factory.evaluated_policy import PolicySource, open_policy, policy_source
from factory.judges import judge_in_use
from factory.run_folders import evaluations_folder, reward_folder
from factory.spec import camera_names
from factory.twin import TwinSettings, in_simulated_time
from robot.rollout.recovery import RECOVERABLE
from trajectories.durable import replace_file
from trajectories.errors import ConfigError, StoppedError
from trajectories.types import DIRECTIONS, UInt8
from trajectories.writer_lock import only_writer


def summarise_trials(results: list[TrialResult]) -> dict[str, dict[str, Any]]:
    """Success with Wilson's interval and mean steps for every direction and mode, keys like "forward/stochastic".

    An episode that the judge was unsure about is counted under "unsure" and in no other figure but the mean steps: it
    is neither success nor failure. The rate of no episode is None.
    """
    cells: dict[str, dict[str, Any]] = {}
    for direction in DIRECTIONS:
        for mode in MODES:
            mine = [r for r in results if (r.direction, r.mode) == (direction, mode)]
            if not mine:
                continue
            wins, known = [r for r in mine if r.success], sum(r.success is not None for r in mine)
            cells[f"{direction}/{mode}"] = {
                "episodes": known,
                "unsure": len(mine) - known,
                "successes": len(wins),
                "rate": len(wins) / known if known else None,
                "interval95": list(wilson_interval(len(wins), known)),
                "mean_steps": float(np.mean([r.steps for r in mine])),
                "mean_steps_of_successes": float(np.mean([r.steps for r in wins])) if wins else None,
            }
            shares = [r.share for r in mine if r.share is not None]
            if shares:
                cells[f"{direction}/{mode}"]["mean_share"] = float(np.mean(shares))
    return cells


def table(cells: dict[str, dict[str, Any]]) -> str:
    """The cells as lines for a terminal."""
    unsure = any(cell.get("unsure") for cell in cells.values())
    lines = [f"{'direction/actions':24} {'success (95 % interval)':28} mean steps{'  unsure' if unsure else ''}"]
    for name, cell in cells.items():
        rate = format_rate(cell["successes"], cell["episodes"])
        doubts = f"{cell.get('unsure', 0):8}" if unsure else ""
        parts = f"  {100 * cell['mean_share']:.0f} % of the parts" if "mean_share" in cell else ""
        lines.append(f"{name:24} {rate:28} {cell['mean_steps']:10.1f}{doubts}{parts}".rstrip())
    return "\n".join(lines)


def episodes_run(cell: Mapping[str, Any]) -> int:
    """All episodes of a cell, those that the judge was unsure about included."""
    return int(cell["episodes"]) + int(cell.get("unsure", 0))


def done_before(root: Path, place: str, conditions: Conditions, plan: Plan) -> Evaluation | None:
    """An evaluation of the plan's policy under these conditions that has all its cells, as long at least."""
    found = find_evaluation(root, place, conditions)
    if found is None or found.result["policy_digest"] != open_policy(plan.policy).digest:
        return None
    wanted = {f"{direction}/{mode}" for direction in DIRECTIONS for mode in plan.modes}
    cells = found.result["cells"]
    long_enough = wanted <= set(cells) and all(episodes_run(cells[name]) >= plan.episodes for name in wanted)
    return found if long_enough else None


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Attributes:
        policy: Who acts.
        episodes: Per direction and mode.
        modes: Which of `MODES`.
        seed: Seed of the starts; not the training seed, so that policies meet the same starts.
        max_steps: Time limit of an episode, control steps.
        videos: MP4s per direction and mode.
    """

    policy: PolicySource
    episodes: int
    modes: tuple[str, ...]
    seed: int
    max_steps: int
    videos: int

    def __post_init__(self) -> None:
        require_amounts(self.episodes, self.modes, self.videos)

    def trials(self) -> list[Trial]:
        """All episodes."""
        return [
            Trial(self.policy, direction, mode, index, self.seed, self.max_steps, index < self.videos)
            for direction in DIRECTIONS
            for mode in self.modes
            for index in range(self.episodes)
        ]


def evaluate(
    settings: TwinSettings, conditions: Conditions, plan: Plan, out: Path, engine: Engine, title: str
) -> dict[str, Any]:
    """Run the plan in the twin, write `out`/result.json and videos, and return what the JSON holds.

    Args:
        settings: Twin of the task.
        conditions: What the figures hold for.
        plan: What to evaluate.
        out: Folder of the results.
        engine: Where the episodes run.
        title: Shown before the progress bar.
    """
    twin = replace(settings, seed=plan.seed)

    def run_all(trials: Sequence[Trial]) -> Iterator[Ended]:
        jobs = [(twin, trial) for trial in trials]
        ended = run_jobs(run_in_twin, jobs, engine, title, folders=plan.policy.folders)
        return ((trial, result) for (_, trial), result in ended)

    return write_results(plan, run_all, out, conditions, dict)


def evaluate_on_station(config: DictConfig, plan: Plan) -> tuple[Path, dict[str, Any]]:
    """The same on any robot, one episode after another; returns the folder, too.

    Raises:
        ConfigError: There are more episodes of this policy under these conditions than these would be.
    """
    require_local(config, "An evaluation on a robot, or by another judge than the twin's own")
    root, place = evaluations_folder(config), plan.policy.place(Path(config.run_dir))
    title = f"evaluating {plan.policy.title}"
    stop = threading.Event()
    with attended(config, Path(config.run_dir), tqdm.write, stop, max_steps=plan.max_steps) as around:
        station, recovery = around.station, around.recovery
        judge = judge_of(config, station)
        judges = judge.name != PREDICATE and reward_folder(Path(config.run_dir)).is_dir()
        judging = judge_in_use(Path(config.run_dir)) if judges else None
        conditions = conditions_of(config, judge.name, judging)
        require_longer(root, place, conditions, plan)
        out = root / conditions.digest / place
        cameras = camera_names(config)

        def run_one(trial: Trial) -> tuple[TrialResult, UInt8 | None]:
            while True:
                if stop.is_set():
                    raise StoppedError("The evaluation was stopped; the same command runs the episodes that are left.")
                try:
                    result = run_trial(station, judge, cameras[0], trial, around.view.on_observation)
                except RECOVERABLE as error:  # what the fault cut short is run again
                    recovery.after(error)
                else:
                    recovery.succeeded()
                    return result

        def figures() -> dict[str, Any]:
            return {"figures": station.figures(), "recovered_from": dict(recovery.counts)}

        def run_all(trials: Sequence[Trial]) -> Iterable[Ended]:
            return run_jobs(run_one, trials, LocalEngine(1), title)

        return out, write_results(plan, run_all, out, conditions, figures)


def require_longer(root: Path, place: str, conditions: Conditions, plan: Plan) -> None:
    """Refuse to replace an evaluation by a shorter one.

    Raises:
        ConfigError: Saying how many episodes there are.
    """
    found = find_evaluation(root, place, conditions)
    if found is None or found.result["policy_digest"] != open_policy(plan.policy).digest:
        return
    cells = found.result["cells"]
    most, modes = max(map(episodes_run, cells.values())), {name.split("/")[1] for name in cells}
    if most > plan.episodes or not modes <= set(plan.modes):
        raise ConfigError(
            f"{found.folder} holds an evaluation of this policy under these conditions with {most} episodes "
            f"({', '.join(sorted(modes))}), and {plan.episodes} ({', '.join(plan.modes)}) would take its place. Give "
            f"evaluate.episodes={most} or more and at least these evaluate.modes, or other starts with evaluate.seed."
        )


def write_results(
    plan: Plan,
    run: Run,
    out: Path,
    conditions: Conditions,
    figures: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Write videos as they come, then `out`/result.json in one step, and return what that holds.

    Until then an evaluation that was there before stays whole, with its videos, and the episodes so far are kept for
    the next call.

    Raises:
        ConfigError: Another process evaluates into this folder.
    """
    with only_writer(out):
        out.mkdir(parents=True, exist_ok=True)
        return _write_results(plan, run, out, conditions, figures)


def _write_results(
    plan: Plan, run: Run, out: Path, conditions: Conditions, figures: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    started = time.monotonic()
    finished: list[TrialResult] = []
    films: list[str] = []
    policy = open_policy(plan.policy)
    for trial, (result, frames) in going_on(plan.trials(), unfinished(out, conditions, policy.digest), run):
        finished.append(result)
        film = out / f"{trial.direction}_{trial.mode}_{trial.index}_{result.outcome}.mp4"
        if frames is not None:
            write_film(film, frames)
        if trial.video and film.is_file():
            films.append(film.name)
    finished.sort(key=lambda r: (r.direction, r.mode, r.index))
    report = {
        "conditions": conditions.to_dict(),
        "conditions_digest": conditions.digest,
        "policy": plan.policy.where,
        "policy_digest": policy.digest,
        "policy_version": policy.version,
        "seconds": time.monotonic() - started,
        "cells": summarise_trials(finished),
        "videos": sorted(films),
        "episodes": [asdict(result) for result in finished],
        **figures(),
    }
    replace_file(out / RESULT, json.dumps(report, indent=1).encode())
    forget(out)
    for film in out.glob("*.mp4"):
        if film.name not in films:  # of an evaluation before
            film.unlink()
    return report


def run(config: DictConfig) -> None:
    """Evaluate the policy that `config.checkpoint` names."""
    source = policy_source(config, str(config.checkpoint))
    if config.evaluate.axes or config.evaluate.tasks:
        evaluate_matrix(config, source)
        return
    plan = plan_of(config, source)
    if in_twin(config):
        out, report = evaluate_in_twin(config, plan)
    else:
        out, report = evaluate_on_station(config, plan)
    print(f"\n{config.task.name}, {source.where}\n{table(report['cells'])}\n\nDetails: {out / RESULT}")
    if report["videos"]:
        print(f"Videos:  {out}/*.mp4")


def in_twin(config: DictConfig) -> bool:
    """Whether a simulation's physics predicate judges, so that episodes can run side by side."""
    return in_simulated_time(config) and str(config.evaluate.judge) in ("auto", "predicate")


def plan_of(
    config: DictConfig,
    policy: Path | PolicySource,
    episodes: int | None = None,
    modes: Sequence[str] | None = None,
    videos: int | None = None,
) -> Plan:
    """The plan of the settings for a policy, given as its folder or source, or one of other amounts."""
    chosen = config.evaluate
    return Plan(
        PolicySource(str(policy)) if isinstance(policy, Path) else policy,
        int(chosen.episodes) if episodes is None else episodes,
        tuple(chosen.modes if modes is None else modes),
        int(chosen.seed),
        int(config.task.max_steps),
        int(chosen.videos) if videos is None else videos,
    )


def evaluate_in_twin(config: DictConfig, plan: Plan) -> tuple[Path, dict[str, Any]]:
    """Evaluate in the twin unless that was done; returns the folder and what its `result.json` holds.

    In the twin the same starts give the same figures, so nothing is gained by running them again.
    """
    engine = engine_of(config)
    root, place = evaluations_folder(config), plan.policy.place(Path(config.run_dir))
    conditions = conditions_of(config, PREDICATE)
    found = done_before(root, place, conditions, plan)
    if found is not None:
        print(f"{found.folder}: done before under these conditions ({conditions.digest})")
        return found.folder, dict(found.result)
    require_longer(root, place, conditions, plan)
    out = root / conditions.digest / place
    settings, title = TwinSettings.from_config(config), f"evaluating {plan.policy.title}"
    return out, evaluate(settings, conditions, plan, out, engine, title)
