"""`regrasp inspect`: what a trajectory store holds."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from factory.store_place import store_at
from trajectories.inspect import inspect_store
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.store import TrajectoryStore

_DELAY_S = 1e-3
"""The bar comes with the first episode, so that there is none where there is no store."""


def run(config: DictConfig) -> None:
    """Bring back what `config.restore` names, then print the report; pictures and a video go to `config.out`."""
    path, episode = store_at(config, str(config.store)), config.episode
    if config.restore is not None:
        with TrajectoryStore(path) as store:
            print(f"{store.restore(None if config.restore == 'all' else [str(config.restore)])}\n")
    if episode == "last":
        with TrajectoryStore(path, read_only=True) as store:
            episode = newest_attempt(store)
    with tqdm(desc="verifying", unit="episode", dynamic_ncols=True, delay=_DELAY_S) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = inspect_store(path, Path(config.out), episode, show)
    print(report)


def newest_attempt(store: TrajectoryStore) -> str | None:
    """The id of the newest episode that is no look back at another; None without one."""
    attempts = [info.id for info in store.infos() if kind_of(info) != AFTERMATH]
    return max(attempts, default=None)
