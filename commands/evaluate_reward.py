"""`regrasp evaluate-reward`: the reward model on scenes it never saw, on a store, or on labelled pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from tqdm import tqdm

from commands.collect.collect import record
from commands.collect.plan import CollectJob, Kind
from commands.engine.jobs import run_jobs
from commands.engine.local import LocalEngine
from commands.overrides import typed_keys
from factory.judge_settings import require_trained_like
from factory.judges import FIGURES, judge_digest, judge_in_use
from factory.reward import reward_kind, reward_of
from factory.reward_episodes import session_episodes
from factory.run_folders import reward_folder
from factory.spec import spec_of
from factory.store_place import store_at
from factory.task import instructions_of
from factory.twin import UNSHIFTED, TwinSettings, cached_twin, require_world
from robot.interfaces import ConcludingReward, RewardReading
from sim.experts.failures import FAILURES, Failure
from trajectories.durable import replace_file
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, PLAY, kind_of, was_displaced
from trajectories.manifest import EpisodeInfo
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, Episode, Observation
from trajectories.verdicts import VerdictBook

if TYPE_CHECKING:
    from rewards.intervals import JudgedFrames
    from rewards.kind import HeldOutEpisode, LoadedReward


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
    """Measure the run's reward model: on a store, on labelled pictures, or on held-out scenes; print and write it."""
    asked = config.evaluate_reward
    if asked.store is not None and asked.pictures is not None:
        raise ConfigError("Give evaluate_reward.store or evaluate_reward.pictures, not both.")
    require_trained_like(config, typed_keys(), print)
    judge = judge_digest(judge_in_use(Path(config.run_dir)))  # another one may have taken its place when this ends
    if asked.store is not None:
        name, figures = "evaluation_store.json", evaluate_store(config, store_at(config, str(asked.store)))
    elif asked.pictures is not None:
        name, figures = "evaluation_pictures.json", evaluate_pictures(config, Path(asked.pictures))
    else:
        name, figures = FIGURES, evaluate_scenes(config)
    path = reward_folder(Path(config.run_dir)) / name
    replace_file(path, json.dumps({"judge": judge, **figures}, indent=1).encode())
    print(f"Details: {path}")


def evaluate_store(config: DictConfig, path: StorePath) -> dict[str, Any]:
    """Figures on the store's episodes of known outcome, and of its session's stream where a referee spoke.

    Raises:
        ConfigError: It holds none of the settings' task, or a session's own outcome is its judge's word alone.
    """
    from rewards.intervals import grouped_figures, interval_table
    from rewards.measuring import judged_alone, judged_store, recorded_stream

    reward, task = reward_of(config, spec_of(config)), str(config.task.name)
    with TrajectoryStore(path, read_only=True) as store:
        _require_task(store, task)
        found = [i for i in store.infos() if i.task == task and kind_of(i) != PLAY and not was_displaced(i)]
        alone = judged_alone(found, VerdictBook(path))
        if alone:
            why = f"left out: {len(alone)} of {len(found)} episodes, about which only the judge of then has spoken."
            what = f"Say how they went with `regrasp review store={path}` (and the settings of the run)."
            if len(alone) == len(found):
                raise ConfigError(f"There is nothing to measure on in {path}; {why} {what}")
            print(f"{why} {what}")
        infos = {info.id: info for info in found if info.id not in alone}
        read: list[EpisodeInfo] = []

        def episodes() -> Iterator[Episode]:
            for episode in session_episodes(store, infos, tqdm.write):
                read.append(infos[episode.id])
                yield episode

        bar = tqdm(episodes(), total=len(infos), desc="judging", unit="episode", dynamic_ncols=True)
        judged, stream = judged_store(reward, bar)
    figures, recorded = grouped_figures(judged), recorded_stream(read)
    print(interval_table(figures))
    refereed = stream.done + stream.not_done > 0
    if refereed:
        print(f"\nstream, as judged then: {recorded.words()}")
        print(f"stream, judged now (episodes end where the judge of then said done): {stream.words()}")
    report = {"store": str(path), "task": task, "left_out": len(alone), "figures": figures}
    if refereed:
        report |= {"stream_then": recorded.figures(), "stream_now": stream.figures()}
    return report


def _require_task(store: TrajectoryStore, task: str) -> None:
    """Refuse a store without an episode of the task.

    Raises:
        ConfigError: Naming both, and the tasks that it has.
    """
    found = sorted({info.task for info in store.infos()})
    if task not in found:
        instead = f"it has episodes of {', '.join(found)}: give one of these as task=..., or" if found else "give"
        raise ConfigError(f"There is no episode of the task {task} in {store.path}; {instead} another store.")


def evaluate_pictures(config: DictConfig, folder: Path) -> dict[str, Any]:
    """Figures on a folder of pictures that a person labelled."""
    from rewards.intervals import grouped_figures, interval_table
    from rewards.judged_pictures import judged_pictures
    from rewards.labelled_pictures import read_pictures

    spec = spec_of(config)
    reward, texts = reward_of(config, spec), [text for texts in instructions_of(config).values() for text in texts]
    figures = grouped_figures(judged_pictures(reward, read_pictures(folder), spec, texts))
    print(interval_table(figures))
    return {"pictures": str(folder), "figures": figures}


def evaluate_scenes(config: DictConfig) -> dict[str, Any]:
    """Record held-out episodes, judge them, print the tables and return all figures."""
    from rewards.evaluation import decision_figures
    from rewards.intervals import grouped_figures, with_intervals
    from rewards.kind import HeldOut

    task = str(config.task.name)
    require_world(
        config,
        "`regrasp evaluate-reward` renders held-out scenes",
        "On an arm give evaluate_reward.store=FOLDER (episodes people spoke about) or evaluate_reward.pictures=FOLDER.",
    )
    trained = reward_of(config, spec_of(config))
    shifts = [UNSHIFTED, *(str(shift) for shift in config.evaluate_reward.shifts)]
    recorded = {shift: _recorded(config, shift) for shift in shifts}
    settings = replace(
        TwinSettings.from_config(config), seed=int(config.evaluate_reward.seed), shift=UNSHIFTED, frame_loss=0.0
    )
    hidden = occluded_observations(settings, trained.camera, 2 * int(config.evaluate_reward.episodes))
    occluded = _occluded(trained, hidden)
    episodes = {shift: _looked_at(trained, jobs, shift) for shift, jobs in recorded.items()}
    figures = reward_kind(config).evaluate(trained, HeldOut(task, occluded, list(episodes[UNSHIFTED].values())))
    judged = _judged(trained.camera, occluded, episodes)
    unshifted = judged.groups["shift"] == UNSHIFTED
    intervals = grouped_figures(judged[unshifted]) | {
        "by_shift": {shift: with_intervals(judged[judged.groups["shift"] == shift]) for shift in shifts}
    }
    report: dict[str, Any] = {"task": task, "episodes": len(recorded[UNSHIFTED]), **figures, "intervals": intervals}
    report["whole_episodes_by_shift"] = {
        shift: decision_figures((one.episode, one.seen.stop, one.seen.unsure) for one in mine.values() if one.whole)
        for shift, mine in episodes.items()
    }
    _print_scenes(report)
    return report


def _occluded(trained: LoadedReward, observations: Sequence[Observation]) -> list[RewardReading]:
    """What is said of each of them; nothing by a judge that only says how an episode ended."""
    from rewards.kind import readings_of

    if isinstance(trained, ConcludingReward):
        return []
    return [readings_of(trained, [observation])[0] for observation in observations]


def _looked_at(trained: LoadedReward, jobs: list[tuple[CollectJob, Episode]], shift: str) -> dict[str, HeldOutEpisode]:
    """Every episode by the key of its job, as the judge sees it: the one time that it is judged."""
    from rewards.kind import HeldOutEpisode
    from rewards.measuring import look_at

    title = "judging" if shift == UNSHIFTED else f"judging, {shift}"
    return {
        job.key: HeldOutEpisode(
            episode, *judged_frames(job, episode), whole=job.kind != AFTERMATH, seen=look_at(trained, episode)
        )
        for job, episode in tqdm(jobs, desc=title, unit="episode", dynamic_ncols=True)
    }


def _judged(
    camera: str, occluded: Sequence[RewardReading], episodes: Mapping[str, Mapping[str, HeldOutEpisode]]
) -> JudgedFrames:
    """Frames that count one by one: the occluded ones, then those of each shift's episodes."""
    from rewards.intervals import JudgedFrames
    from rewards.measuring import Row, rows_of

    groups = {"kind": "occluded", "camera": camera, "shift": UNSHIFTED}
    rows: list[Row] = [
        (False, reading.probability, reading.above, f"occluded/{number}", groups)
        for number, reading in enumerate(occluded)
    ]
    for shift, mine in episodes.items():
        for key, one in mine.items():
            groups = {"kind": one.kind, "camera": camera, "shift": shift}
            rows += rows_of(one.seen, f"{shift}/{key}", one.rows, one.done, groups)
    return JudgedFrames.of(rows)


def _print_scenes(report: Mapping[str, Any]) -> None:
    from rewards.evaluation import figures_table
    from rewards.intervals import interval_table

    print(figures_table(report["frames"]))
    print("\nframes above the threshold, by kind:")
    for kind, row in report["frames"]["by_kind"].items():
        rate = row["found"] if kind in ("success", AFTERMATH) else row["rate_above_threshold"]
        print(f"  {kind:22} {'-' if rate is None else f'{100 * rate:5.1f} %'}  of {row['frames']} frames")
    print(f"\nwith 95 % intervals, episodes drawn anew:\n{interval_table(report['intervals'])}\n")
    for shift, whole in report["whole_episodes_by_shift"].items():
        print(f"whole episodes{'' if shift == UNSHIFTED else f' with another {shift}'}: {_words(whole)}")
        if whole["unsure"]:
            print(
                f"  unsure about {whole['unsure']} of {whole['successes'] + whole['failures']}; of the others "
                f"{_words(whole['among_sure'])}"
            )


def _words(whole: Mapping[str, Any]) -> str:
    return (
        f"{100 * (whole['found'] or 0):.0f} % of {whole['successes']} successes found, "
        f"{100 * (whole['wrong_stops'] or 0):.1f} % of {whole['failures']} failures stopped wrongly"
    )


def _recorded(config: DictConfig, shift: str) -> list[tuple[CollectJob, Episode]]:
    """Held-out episodes under one shift of the scene's looks, in the order of their keys."""
    episodes, seed = int(config.evaluate_reward.episodes), int(config.evaluate_reward.seed)
    settings = replace(TwinSettings.from_config(config), seed=seed, shift=shift, frame_loss=0.0)
    jobs = held_out_jobs(str(config.task.name), FAILURES, episodes, seed, int(config.task.max_steps))
    title = "held-out episodes" if shift == UNSHIFTED else f"held-out episodes, {shift}"
    work = [(settings, job) for job in jobs]
    found = [(job, episode) for (_, job), episode in run_jobs(record, work, LocalEngine(int(config.workers)), title)]
    return sorted(found, key=lambda pair: pair[0].key)
