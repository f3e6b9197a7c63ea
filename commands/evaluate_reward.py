"""`regrasp evaluate-reward`: the success classifier on scenes that training never saw, hard negatives included."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from commands.collect.collect import record
from commands.collect.parallel import run_jobs
from commands.collect.plan import CollectJob
from commands.train_reward import figures_table
from factory.reward import classifier_of
from factory.run_folders import reward_folder
from factory.spec import spec_of
from factory.twin import TwinSettings, cached_twin, require_twin
from trajectories.kinds import AFTERMATH
from trajectories.types import DIRECTIONS, Episode, Float32, UInt8


def held_out_jobs(task: str, failures: tuple[str, ...], episodes: int, seed: int) -> list[CollectJob]:
    """`episodes` successes, failures and looks at what was left of each direction, on scenes of their own seeds."""
    jobs: list[CollectJob] = []
    for direction in DIRECTIONS:
        for index in range(2 * episodes):
            failure = failures[(index // 2) % len(failures)] if index % 2 else None
            key = f"{task}/{direction}/held-out/{index}"
            jobs.append(
                CollectJob(key, task, direction, "failure" if failure else "demo", failure, 0.2, seed + len(jobs))
            )
    for direction in DIRECTIONS:
        for index in range(episodes):
            key = f"{task}/{direction}/held-out/{AFTERMATH}/{index}"
            jobs.append(CollectJob(key, task, direction, AFTERMATH, None, 0.2, seed + len(jobs)))
    return jobs


def occluded_frames(
    settings: TwinSettings, camera: str, count: int
) -> tuple[list[UInt8], list[Float32], list[bool], list[str], list[str]]:
    """`count` frames a direction in which the arm hides the goal or the object, none of them a success.

    Returns:
        Images (1, H, W, 3), proprioception (1, P), labels, instructions and kinds, one entry a frame.
    """
    import numpy as np

    from sim.occlusion import pose_occluded

    twin, rng = cached_twin(settings), np.random.default_rng([settings.seed, 1])
    images: list[UInt8] = []
    proprio: list[Float32] = []
    words: list[str] = []
    for direction in DIRECTIONS:
        for _ in range(count):
            if pose_occluded(twin, direction, rng, camera):
                observation = twin.env.observe()
                images.append(observation.images[camera][None])
                proprio.append(observation.proprio[None])
                words.append(str(rng.choice(twin.task.instructions[direction])))
    return images, proprio, [False] * len(words), words, ["occluded"] * len(words)


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
    import numpy as np

    from rewards.evaluation import evaluate_episodes, evaluate_frames
    from sim.experts.failures import FAILURES

    folder = reward_folder(Path(config.run_dir))
    require_twin(config, "`regrasp evaluate-reward` renders held-out scenes", "the success of the training stream")
    settings = TwinSettings.from_config(config)
    classifier = classifier_of(config, spec_of(config))
    settings = replace(settings, seed=int(config.evaluate_reward.seed))
    jobs = held_out_jobs(
        config.task.name, FAILURES, int(config.evaluate_reward.episodes), int(config.evaluate_reward.seed)
    )
    work = [(settings, job) for job in jobs]
    recorded: list[tuple[CollectJob, Episode]] = [
        (job, episode) for (_, job), episode in run_jobs(record, work, config.workers, "held-out episodes")
    ]
    recorded.sort(key=lambda pair: pair[0].key)
    camera = classifier.camera
    images, proprio, labels, words, kinds = occluded_frames(settings, camera, 2 * int(config.evaluate_reward.episodes))
    for job, episode in recorded:
        rows, done, kind = judged_frames(job, episode)
        images.append(episode.images[camera][rows])
        proprio.append(episode.proprio[rows])
        labels += done
        words += [episode.instruction] * len(rows)
        kinds += [kind] * len(rows)
    figures = evaluate_frames(
        classifier,
        np.concatenate(images),
        words,
        labels,
        [config.task.name] * len(labels),
        kinds,
        proprio=np.concatenate(proprio),
    )
    report: dict[str, Any] = {
        "task": config.task.name,
        "episodes": len(recorded),
        "frames": figures,
        "whole_episodes": evaluate_episodes(
            classifier, [episode for job, episode in recorded if job.kind != AFTERMATH]
        ),
    }
    (folder / "evaluation.json").write_text(json.dumps(report, indent=1))
    print(figures_table(figures))
    print("\nframes above the threshold, by kind:")
    for kind, row in figures["by_kind"].items():
        rate = row["found"] if kind in ("success", AFTERMATH) else row["rate_above_threshold"]
        print(f"  {kind:22} {'-' if rate is None else f'{100 * rate:5.1f} %'}  of {row['frames']} frames")
    whole = report["whole_episodes"]
    print(
        f"\nwhole episodes: {100 * (whole['found'] or 0):.0f} % of {whole['successes']} successes found, "
        f"{100 * (whole['wrong_stops'] or 0):.1f} % of {whole['failures']} failures stopped wrongly"
    )
    print(f"Details: {folder / 'evaluation.json'}")
