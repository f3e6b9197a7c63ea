"""`regrasp evaluate-reward`: the reward model on scenes that training never saw, hard negatives included."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from commands.collect.collect import record
from commands.collect.parallel import run_jobs
from commands.collect.plan import CollectJob, Kind
from factory.reward import reward_kind, reward_of
from factory.run_folders import reward_folder
from factory.spec import spec_of
from factory.twin import TwinSettings, cached_twin, require_world
from sim.experts.failures import Failure
from trajectories.durable import replace_file
from trajectories.kinds import AFTERMATH
from trajectories.types import DIRECTIONS, Episode, Observation


def held_out_jobs(
    task: str, failures: tuple[Failure, ...], episodes: int, seed: int, max_steps: int
) -> list[CollectJob]:
    """`episodes` successes, failures and looks at what was left of each direction, on scenes of their own seeds."""
    jobs: list[CollectJob] = []
    for direction in DIRECTIONS:
        for index in range(2 * episodes):
            failure = failures[(index // 2) % len(failures)] if index % 2 else None
            key = f"{task}/{direction}/held-out/{index}"
            kind: Kind = "failure" if failure else "demo"
            jobs.append(CollectJob(key, task, direction, kind, failure, 0.2, seed + len(jobs), max_steps))
    for direction in DIRECTIONS:
        for index in range(episodes):
            key = f"{task}/{direction}/held-out/{AFTERMATH}/{index}"
            jobs.append(CollectJob(key, task, direction, AFTERMATH, None, 0.2, seed + len(jobs), max_steps))
    return jobs


def occluded_observations(settings: TwinSettings, camera: str, count: int) -> list[Observation]:
    """`count` observations a direction in which the arm hides the goal or the object, none of them a success.

    In the twin; none in robosuite's world, whose objects and goals have other names.
    """
    import numpy as np

    from sim.occlusion import pose_occluded

    if settings.world != "twin":
        return []
    twin, rng = cached_twin(settings), np.random.default_rng([settings.seed, 1])
    found: list[Observation] = []
    for direction in DIRECTIONS:
        for _ in range(count):
            if pose_occluded(twin, direction, rng, camera):
                seen = twin.env.observe()
                found.append(replace(seen, instruction=str(rng.choice(twin.task.instructions[direction]))))
    return found


def judged_frames(job: CollectJob, episode: Episode) -> tuple[list[int], list[bool], str]:
    """Which frames of a held-out episode are judged, whether the task is done in each, and what kind they are."""
    success, last = episode.outcome == "success", len(episode)
    if job.kind == AFTERMATH:
        return list(range(last + 1)), [success] * (last + 1), AFTERMATH
    if success:  # its first half and its last 3 frames
        rows = [*range(last // 2), *range(last - 2, last + 1)]
        return rows, [row > last - 3 for row in rows], "success"
    rows = list(range(max(0, last - 11), last + 1))  # where it is hardest
    return rows, [False] * len(rows), f"failure: {job.failure}"


def run(config: DictConfig) -> None:
    """Record held-out episodes, judge them, write `reward/evaluation.json` and print the table."""
    from rewards.evaluation import figures_table
    from rewards.kind import HeldOut, HeldOutEpisode
    from sim.experts.failures import FAILURES

    folder, task = reward_folder(Path(config.run_dir)), str(config.task.name)
    require_world(config, "`regrasp evaluate-reward` renders held-out scenes", "the success of the training stream")
    trained = reward_of(config, spec_of(config))
    episodes, seed = int(config.evaluate_reward.episodes), int(config.evaluate_reward.seed)
    settings = replace(TwinSettings.from_config(config), seed=seed)
    jobs = held_out_jobs(task, FAILURES, episodes, seed, int(config.task.max_steps))
    work = [(settings, job) for job in jobs]
    recorded: list[tuple[CollectJob, Episode]] = [
        (job, episode) for (_, job), episode in run_jobs(record, work, config.workers, "held-out episodes")
    ]
    recorded.sort(key=lambda pair: pair[0].key)
    held_out = HeldOut(
        task,
        occluded_observations(settings, trained.camera, 2 * episodes),
        [HeldOutEpisode(episode, *judged_frames(job, episode), job.kind != AFTERMATH) for job, episode in recorded],
    )
    figures = reward_kind(config).evaluate(trained, held_out)
    report: dict[str, Any] = {"task": task, "episodes": len(recorded), **figures}
    replace_file(folder / "evaluation.json", json.dumps(report, indent=1).encode())
    print(figures_table(report["frames"]))
    print("\nframes above the threshold, by kind:")
    for kind, row in report["frames"]["by_kind"].items():
        rate = row["found"] if kind in ("success", AFTERMATH) else row["rate_above_threshold"]
        print(f"  {kind:22} {'-' if rate is None else f'{100 * rate:5.1f} %'}  of {row['frames']} frames")
    whole = report["whole_episodes"]
    print(
        f"\nwhole episodes: {100 * (whole['found'] or 0):.0f} % of {whole['successes']} successes found, "
        f"{100 * (whole['wrong_stops'] or 0):.1f} % of {whole['failures']} failures stopped wrongly"
    )
    print(f"Details: {folder / 'evaluation.json'}")
