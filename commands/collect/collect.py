"""`regrasp collect`: prior data, demonstrations, failures and play into the trajectory store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from commands.collect.parallel import run_jobs
from commands.collect.plan import CollectJob, collect_plan
from factory.run_folders import data_folder
from factory.spec import spec_of
from factory.twin import TwinSettings, cached_twin, require_twin
from trajectories.kinds import AFTERMATH, KIND_KEY, PLAY
from trajectories.store import TrajectoryStore
from trajectories.summary import summarise, summary_table
from trajectories.types import Episode


def record(job: tuple[TwinSettings, CollectJob]) -> Episode:
    """Record one episode in this process' twin of the job's task."""
    from dataclasses import replace

    from sim.collect import aftermath, collect_episode, play_cycle

    settings, wanted = job
    twin = cached_twin(replace(settings, task=wanted.task))
    rng = np.random.default_rng(wanted.seed)
    if wanted.kind == PLAY:
        episode = play_cycle(twin, rng)
    elif wanted.kind == AFTERMATH:
        episode = aftermath(twin, wanted.direction, rng, noise=wanted.noise, max_steps=wanted.max_steps)
    else:
        episode = collect_episode(
            twin, wanted.direction, rng, noise=wanted.noise, failure=wanted.failure, max_steps=wanted.max_steps
        )
    return replace(episode, metadata={**episode.metadata, KIND_KEY: wanted.kind, "job": wanted.key})


def run(config: DictConfig) -> None:
    """Record what the plan wants and the store lacks."""
    from sim.experts.failures import FAILURES

    require_twin(config, "`regrasp collect` records the scripted expert", "a person: `regrasp teleop`")
    settings = TwinSettings.from_config(config)
    jobs = collect_plan(
        task=config.task.name,
        prior_tasks=list(config.task.prior),
        failures=FAILURES,
        demos=config.collect.demos,
        demo_failures=config.collect.failures,
        prior_episodes=config.collect.prior_episodes,
        play=config.collect.play,
        aftermath=config.collect.aftermath,
        noise=config.collect.noise,
        seed=config.seed,
        max_steps=int(config.task.max_steps),
    )
    store = TrajectoryStore(data_folder(Path(config.run_dir)), spec_of(config))
    have = {store.info(name).metadata.get("job") for name in store.ids()}
    missing = [job for job in jobs if job.key not in have]
    if missing:
        work = [(settings, job) for job in missing]
        for _, episode in run_jobs(record, work, config.workers, "collecting"):
            store.commit(episode)
    print(summary_table(summarise(store.infos())))
