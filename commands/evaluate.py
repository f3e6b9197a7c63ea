"""`regrasp evaluate`: success rates in the twin, judged by the physics predicate that policies never see."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from commands.checkpoints import evaluation_folder, find_policy
from commands.parallel import run_jobs
from commands.plan import DIRECTIONS
from commands.statistics import format_rate, wilson_interval
from commands.twins import TwinSettings, cached_twin
from trajectories.media import write_mp4
from trajectories.types import Direction, UInt8

if TYPE_CHECKING:
    from policies.policy import LearnedPolicy

MODES = ("stochastic", "deterministic")


@dataclass(frozen=True)
class Trial:
    """One evaluation episode to run: the same `index` has the same start for every policy and mode."""

    settings: TwinSettings
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
        success: The physics predicate held before time was up.
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


def run_trial(trial: Trial) -> tuple[TrialResult, UInt8 | None]:
    """Run one episode; returns its result and, when asked for, the frames uint8 (T + 1, H, W, 3)."""
    twin, policy = cached_twin(trial.settings), _policy(trial.policy)
    rng = np.random.default_rng([trial.seed, trial.index, DIRECTIONS.index(trial.direction)])
    twin.reset(trial.direction, rng)
    policy.seed(int(rng.integers(2**31)))
    twin.env.instruction = str(rng.choice(twin.task.instructions[trial.direction]))
    camera = trial.settings.cameras[0]
    observation = twin.env.observe()
    frames = [observation.images[camera]]
    success, steps = False, 0
    while steps < trial.max_steps and not success:
        twin.env.apply(policy.act(observation, deterministic=trial.mode == "deterministic"))
        observation = twin.env.observe()
        steps += 1
        success = twin.success(trial.direction)
        if trial.video:
            frames.append(observation.images[camera])
    result = TrialResult(trial.direction, trial.mode, trial.index, success, steps, twin.env.instruction)
    return result, (np.stack(frames) if trial.video else None)


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


def is_done(out: Path, policy: Path, episodes: int, modes: Sequence[str], seed: int) -> bool:
    """Whether `out` already holds an evaluation of this policy on these starts with at least so many episodes."""
    path = out / "result.json"
    if not path.exists():
        return False
    result = json.loads(path.read_text())
    wanted = {f"{direction}/{mode}" for direction in DIRECTIONS for mode in modes}
    return (
        result["policy_digest"] == _policy(str(policy)).digest
        and result["seed"] == seed
        and wanted <= set(result["cells"])
        and all(cell["episodes"] >= episodes for cell in result["cells"].values())
    )


def evaluate(
    settings: TwinSettings,
    policy: Path,
    out: Path,
    *,
    episodes: int,
    modes: tuple[str, ...],
    seed: int,
    max_steps: int,
    workers: int,
    videos: int,
    title: str,
) -> dict[str, Any]:
    """Run the trials, write `out`/result.json and videos, and return what the JSON holds.

    Args:
        settings: Twin of the task.
        policy: Policy folder.
        out: Folder of the results.
        episodes: Episodes per direction and mode.
        modes: Which of `MODES`.
        seed: Seed of the starts; not the training seed, so that policies meet the same starts.
        max_steps: Time limit of an episode, control steps.
        workers: Processes.
        videos: MP4s per direction and mode.
        title: Shown before the progress bar.
    """
    started = time.monotonic()
    trials = [
        Trial(replace(settings, seed=seed), str(policy), direction, mode, index, seed, max_steps, index < videos)
        for direction in DIRECTIONS
        for mode in modes
        for index in range(episodes)
    ]
    out.mkdir(parents=True, exist_ok=True)
    results: list[TrialResult] = []
    films: list[str] = []
    for trial, (result, frames) in run_jobs(run_trial, trials, workers, title):
        results.append(result)
        if frames is not None:
            name = f"{trial.direction}_{trial.mode}_{trial.index}_{'success' if result.success else 'failure'}.mp4"
            write_mp4(out / name, frames.repeat(4, axis=1).repeat(4, axis=2), fps=10)
            films.append(name)
    results.sort(key=lambda r: (r.direction, r.mode, r.index))
    cells = summarise_trials(results)
    report = {
        "task": settings.task,
        "policy": str(policy),
        "policy_digest": _policy(str(policy)).digest,
        "policy_version": _policy(str(policy)).version,
        "observations": f"cameras {list(settings.cameras)} at {settings.image_size}x{settings.image_size}, "
        "proprioception, instruction; no privileged state",
        "start_spread": settings.spread,
        "seed": seed,
        "max_steps": max_steps,
        "seconds": time.monotonic() - started,
        "cells": cells,
        "videos": sorted(films),
        "episodes": [asdict(result) for result in results],
    }
    (out / "result.json").write_text(json.dumps(report, indent=1))
    return report


def run(config: DictConfig) -> None:
    """Evaluate the policy that `config.checkpoint` names."""
    folder = find_policy(Path(config.run_dir), config.checkpoint, config.method.name)
    out = evaluation_folder(Path(config.run_dir), folder)
    report = evaluate(
        TwinSettings.from_config(config),
        folder,
        out,
        episodes=config.evaluate.episodes,
        modes=tuple(config.evaluate.modes),
        seed=config.evaluate.seed,
        max_steps=config.task.max_steps,
        workers=config.workers,
        videos=config.evaluate.videos,
        title=f"evaluating {folder.name}",
    )
    print(f"\n{config.task.name}, {folder}\n{table(report['cells'])}\n\nDetails: {out / 'result.json'}")
    if report["videos"]:
        print(f"Videos:  {out}/*.mp4")
