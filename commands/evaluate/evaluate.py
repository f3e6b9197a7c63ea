"""`regrasp evaluate`: success rates of a policy, in the twin judged by the physics predicate that it never sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import attended
from commands.collect.parallel import run_jobs
from commands.evaluate.verdicts import Judge, PredicateJudge, judge_of
from commands.report.statistics import format_rate, wilson_interval
from factory.arm import DEFAULT_ARM
from factory.robot import Station, TwinStation
from factory.run_folders import evaluation_folder, evaluations_folder, find_policy
from factory.spec import camera_names
from factory.twin import TwinSettings, cached_twin
from robot.rollout.recovery import RECOVERABLE
from trajectories.errors import StoppedError
from trajectories.media import write_mp4
from trajectories.types import DIRECTIONS, Direction, Observation, UInt8

if TYPE_CHECKING:
    from policies.policy import LearnedPolicy

MODES = ("stochastic", "deterministic")


@dataclass(frozen=True)
class Trial:
    """One evaluation episode to run: the same `index` has the same start for every policy and mode."""

    policy: str
    direction: Direction
    mode: str
    index: int
    seed: int
    max_steps: int
    video: bool


@dataclass(frozen=True)
class TrialResult:
    """What happened in a trial.

    Attributes:
        direction: "forward" or "backward".
        mode: "stochastic" or "deterministic".
        index: Number of the trial within its direction and mode.
        success: The judge said so before time was up.
        steps: Control steps taken.
        instruction: The wording used.
    """

    direction: str
    mode: str
    index: int
    success: bool
    steps: int
    instruction: str


@lru_cache(maxsize=1)
def _policy(folder: str) -> LearnedPolicy:
    import torch

    from policies.policy import load_policy

    torch.set_num_threads(1)
    return load_policy(Path(folder))


def run_trial(
    station: Station,
    judge: Judge,
    camera: str,
    trial: Trial,
    on_observation: Callable[[Observation], None] = lambda observation: None,
) -> tuple[TrialResult, UInt8 | None]:
    """Run one episode; returns its result and, when asked for, the frames uint8 (T + 1, H, W, 3).

    Args:
        station: The robot.
        judge: Of success.
        camera: Whose frames are kept.
        trial: What to run.
        on_observation: Gets every observation.
    """
    policy, env = _policy(trial.policy), station.env
    rng = np.random.default_rng([trial.seed, trial.index, DIRECTIONS.index(trial.direction)])
    station.prepare(trial.direction, rng)
    policy.seed(int(rng.integers(2**31)))
    env.instruction = str(rng.choice(station.instructions[trial.direction]))
    observation = env.observe()
    judge.start(observation)
    frames = [observation.images[camera]]
    done, steps = False, 0
    while steps < trial.max_steps and not done:
        env.apply(policy.act(observation, deterministic=trial.mode == "deterministic"))
        observation = env.observe()
        on_observation(observation)
        steps += 1
        done = judge.done(observation, trial.direction)
        if trial.video:
            frames.append(observation.images[camera])
    success = judge.verdict(done, env.instruction)
    result = TrialResult(trial.direction, trial.mode, trial.index, success, steps, env.instruction)
    return result, (np.stack(frames) if trial.video else None)


def run_in_twin(job: tuple[TwinSettings, Trial]) -> tuple[TrialResult, UInt8 | None]:
    """Run one episode in this process' twin, judged by the physics predicate."""
    settings, trial = job
    twin = cached_twin(settings)
    return run_trial(TwinStation(twin), PredicateJudge(twin.success), settings.cameras[0], trial)


def summarise_trials(results: list[TrialResult]) -> dict[str, dict[str, Any]]:
    """Success with Wilson's interval and mean steps for every direction and mode, keys like "forward/stochastic"."""
    cells: dict[str, dict[str, Any]] = {}
    for direction in DIRECTIONS:
        for mode in MODES:
            mine = [r for r in results if (r.direction, r.mode) == (direction, mode)]
            if not mine:
                continue
            wins = [r for r in mine if r.success]
            cells[f"{direction}/{mode}"] = {
                "episodes": len(mine),
                "successes": len(wins),
                "rate": len(wins) / len(mine),
                "interval95": list(wilson_interval(len(wins), len(mine))),
                "mean_steps": float(np.mean([r.steps for r in mine])),
                "mean_steps_of_successes": float(np.mean([r.steps for r in wins])) if wins else None,
            }
    return cells


def table(cells: dict[str, dict[str, Any]]) -> str:
    """The cells as lines for a terminal."""
    lines = [f"{'direction/actions':24} {'success (95 % interval)':28} mean steps"]
    for name, cell in cells.items():
        lines.append(f"{name:24} {format_rate(cell['successes'], cell['episodes']):28} {cell['mean_steps']:.1f}")
    return "\n".join(lines)


def is_done(out: Path, policy: Path, episodes: int, modes: Sequence[str], seed: int, arm: str) -> bool:
    """Whether `out` already holds an evaluation of this policy with this arm, on these starts, as long at least."""
    path = out / "result.json"
    if not path.exists():
        return False
    result = json.loads(path.read_text())
    wanted = {f"{direction}/{mode}" for direction in DIRECTIONS for mode in modes}
    return (
        result["policy_digest"] == _policy(str(policy)).digest
        and result["seed"] == seed
        and result.get("arm", DEFAULT_ARM) == arm
        and wanted <= set(result["cells"])
        and all(cell["episodes"] >= episodes for cell in result["cells"].values())
    )


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Attributes:
        policy: Policy folder.
        episodes: Per direction and mode.
        modes: Which of `MODES`.
        seed: Seed of the starts; not the training seed, so that policies meet the same starts.
        max_steps: Time limit of an episode, control steps.
        videos: MP4s per direction and mode.
    """

    policy: Path
    episodes: int
    modes: tuple[str, ...]
    seed: int
    max_steps: int
    videos: int

    def trials(self) -> list[Trial]:
        """All episodes."""
        return [
            Trial(str(self.policy), direction, mode, index, self.seed, self.max_steps, index < self.videos)
            for direction in DIRECTIONS
            for mode in self.modes
            for index in range(self.episodes)
        ]


def evaluate(settings: TwinSettings, plan: Plan, out: Path, workers: int, title: str) -> dict[str, Any]:
    """Run the plan in the twin, write `out`/result.json and videos, and return what the JSON holds.

    Args:
        settings: Twin of the task.
        plan: What to evaluate.
        out: Folder of the results.
        workers: Processes.
        title: Shown before the progress bar.
    """
    jobs = [(replace(settings, seed=plan.seed), trial) for trial in plan.trials()]
    results = ((trial, result) for (_, trial), result in run_jobs(run_in_twin, jobs, workers, title))
    about = {
        "task": settings.task,
        "robot": "twin",
        "arm": settings.arm,
        "judge": "physics predicate",
        "observations": f"cameras {list(settings.cameras)} at {settings.image_size}x{settings.image_size}, "
        "proprioception, instruction; no privileged state",
        "start_spread": settings.spread,
    }
    return write_results(plan, results, out, about)


def evaluate_on_station(config: DictConfig, plan: Plan, out: Path, title: str) -> dict[str, Any]:
    """The same on any robot, one episode after another."""
    stop = threading.Event()
    with attended(config, Path(config.run_dir), tqdm.write, stop, max_steps=plan.max_steps) as around:
        station, recovery = around.station, around.recovery
        judge = judge_of(config, station)
        cameras = camera_names(config)

        def run_one(trial: Trial) -> tuple[TrialResult, UInt8 | None]:
            while True:
                if stop.is_set():
                    raise StoppedError("The evaluation was stopped; nothing is written of it.")
                try:
                    result = run_trial(station, judge, cameras[0], trial, around.view.on_observation)
                except RECOVERABLE as error:  # what the fault cut short is run again
                    recovery.after(error)
                else:
                    recovery.succeeded()
                    return result

        size = int(config.robot.image_size)
        about = {
            "task": str(config.task.name),
            "robot": str(config.robot.name),
            "arm": station.env.model.name,
            "judge": judge.name,
            "observations": f"cameras {list(cameras)} at {size}x{size}, proprioception, instruction; "
            "no privileged state",
            "start_spread": str(config.robot.get("spread", "as the person arranged it")),
        }
        report = write_results(plan, run_jobs(run_one, plan.trials(), 1, title), out, about)
        report["figures"] = station.figures()
        report["recovered_from"] = dict(recovery.counts)
        write_report(out, report)
    return report


def write_results(
    plan: Plan, results: Iterable[tuple[Trial, tuple[TrialResult, UInt8 | None]]], out: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Write videos as they come, then `out`/result.json, and return what that holds."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    for film in out.glob("*.mp4"):  # of an evaluation before
        film.unlink()
    finished: list[TrialResult] = []
    films: list[str] = []
    for trial, (result, frames) in results:
        finished.append(result)
        if frames is not None:
            name = f"{trial.direction}_{trial.mode}_{trial.index}_{'success' if result.success else 'failure'}.mp4"
            write_mp4(out / name, frames.repeat(4, axis=1).repeat(4, axis=2), fps=10)
            films.append(name)
    finished.sort(key=lambda r: (r.direction, r.mode, r.index))
    policy = _policy(str(plan.policy))
    report = about | {
        "policy": str(plan.policy),
        "policy_digest": policy.digest,
        "policy_version": policy.version,
        "seed": plan.seed,
        "max_steps": plan.max_steps,
        "seconds": time.monotonic() - started,
        "cells": summarise_trials(finished),
        "videos": sorted(films),
        "episodes": [asdict(result) for result in finished],
    }
    write_report(out, report)
    return report


def write_report(out: Path, report: dict[str, Any]) -> None:
    """Write `out`/result.json."""
    (out / "result.json").write_text(json.dumps(report, indent=1))


def run(config: DictConfig) -> None:
    """Evaluate the policy that `config.checkpoint` names."""
    folder = find_policy(config, config.checkpoint)
    out = evaluation_folder(evaluations_folder(config), folder)
    plan = Plan(
        folder,
        int(config.evaluate.episodes),
        tuple(config.evaluate.modes),
        int(config.evaluate.seed),
        int(config.task.max_steps),
        int(config.evaluate.videos),
    )
    title = f"evaluating {folder.name}"
    if str(config.robot.name) == "twin" and str(config.evaluate.judge) in ("auto", "predicate"):
        report = evaluate(TwinSettings.from_config(config), plan, out, int(config.workers), title)
    else:
        report = evaluate_on_station(config, plan, out, title)
    print(f"\n{config.task.name}, {folder}\n{table(report['cells'])}\n\nDetails: {out / 'result.json'}")
    if report["videos"]:
        print(f"Videos:  {out}/*.mp4")
