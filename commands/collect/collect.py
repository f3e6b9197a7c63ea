"""`regrasp collect`: prior data, demonstrations, failures and play into the trajectory store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from omegaconf import DictConfig

from commands.collect.plan import CollectJob, collect_plan
from commands.engine.engine import engine_of
from commands.engine.jobs import run_jobs
from factory.data import open_data
from factory.task import prior_of, task_of
from factory.twin import UNSHIFTED, TwinSettings, cached_twin, require_world
from trajectories.conditions import completed, require_same_identity
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, KIND_KEY, PLAY
from trajectories.store import TrajectoryStore
from trajectories.summary import summarise, summary_table
from trajectories.types import Episode


def record(job: tuple[TwinSettings, CollectJob]) -> Episode:
    """Record one episode in this process' twin of the job's task."""
    from sim.collect import aftermath, collect_episode, play_cycle

    settings, wanted = job
    twin = cached_twin(settings.of_task(wanted.task))
    rng = np.random.default_rng(wanted.seed)
    if wanted.kind == PLAY:
        episode = play_cycle(twin, rng)
    else:
        act = aftermath if wanted.kind == AFTERMATH else collect_episode
        episode = act(
            twin, wanted.direction, rng, noise=wanted.noise, failure=wanted.failure, max_steps=wanted.max_steps
        )
    about = {KIND_KEY: wanted.kind, "job": wanted.key, "conditions": conditions_of(settings, wanted)}
    return replace(episode, metadata={**episode.metadata, **about})


def ids_of(jobs: Sequence[CollectJob], began: int) -> dict[str, str]:
    """Key of a job -> an id. Ids sort as jobs do, whichever worker ends first: what is learned depends on the order.

    Args:
        jobs: What is recorded, each with a key of its own.
        began: Unix time, ns, that the first id tells.
    """
    tails = [hashlib.sha256(job.key.encode()).hexdigest()[:8] for job in jobs]
    return {
        job.key: f"{began + number:020d}-{tail}" for number, (job, tail) in enumerate(zip(jobs, tails, strict=True))
    }


def conditions_of(settings: TwinSettings, job: CollectJob) -> dict[str, Any]:
    """Plain JSON of what an episode is recorded with, besides what the name of its job says."""
    return {
        "noise": job.noise,
        "max_steps": job.max_steps,
        "arm": settings.arm,
        "cameras": list(settings.cameras),
        "image_size": settings.image_size,
        "randomise": settings.randomise,
        "spread": settings.spread,
        **({"shift": settings.shift} if settings.shift != UNSHIFTED else {}),
        **({"frame_loss": settings.frame_loss} if settings.frame_loss else {}),
        **({"lab": lab} if (lab := settings.of_task(job.task).lab) is not None else {}),
        **({"depth": list(settings.depth)} if settings.depth else {}),
        **({"description": description} if (description := settings.of_task(job.task).description) else {}),
    }


def missing_jobs(store: TrajectoryStore, settings: TwinSettings, jobs: Sequence[CollectJob]) -> list[CollectJob]:
    """The jobs whose episodes the store lacks.

    Raises:
        ConfigError: One of the others was recorded with other settings; what earlier versions didn't note is taken to
            be the same.
    """
    have = {info.metadata["job"]: info for info in store.infos() if "job" in info.metadata}
    for job in jobs:
        info, here = have.get(job.key), conditions_of(settings, job)
        if info is not None:
            saved = completed(info.metadata.get("conditions", {}), here)
            require_same_identity(saved, here, f"Episode {info.id} of {store.path}", error=ConfigError)
    unasked = len(have.keys() - {job.key for job in jobs})
    if unasked:
        print(
            f"{store.path} holds {unasked} episodes beyond what these settings ask for; whoever learns from the store "
            "learns from them, too."
        )
    return [job for job in jobs if job.key not in have]


def plan_of(config: DictConfig) -> list[CollectJob]:
    """What the settings of `collect` ask for."""
    from sim.collect import PLAYED
    from sim.experts.failures import FAILURES

    return collect_plan(
        task=config.task.name,
        prior_tasks=prior_of(config),
        failures=FAILURES,
        demos=config.collect.demos,
        demo_failures=config.collect.failures,
        prior_episodes=config.collect.prior_episodes,
        play=int(config.collect.play) if task_of(config).skill in PLAYED else 0,
        aftermath=config.collect.aftermath,
        noise=config.collect.noise,
        seed=config.seed,
        max_steps=int(config.task.max_steps),
    )


def run(config: DictConfig) -> None:
    """Record what the plan wants and the store lacks."""
    require_world(config, "`regrasp collect` records the scripted expert", "There it is a person: `regrasp teleop`.")
    settings, engine = TwinSettings.from_config(config), engine_of(config)
    jobs = plan_of(config)
    with open_data(config, read_only=False) as store:
        missing = missing_jobs(store, settings, jobs)
        if missing:
            work, ids = [(settings, job) for job in missing], ids_of(missing, time.time_ns())
            for (_, job), episode in run_jobs(record, work, engine, "collecting"):
                store.commit(replace(episode, id=ids[job.key]))
        print(summary_table(summarise(store.infos())))
