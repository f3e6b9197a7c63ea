"""`regrasp inspect`: what a trajectory store holds."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from trajectories.inspect import inspect_store
from trajectories.store import TrajectoryStore


def run(config: DictConfig) -> None:
    """Print the report; pictures and a video go to `config.out`."""
    path, episode = Path(config.store), config.episode
    if episode == "last":
        with TrajectoryStore(path, read_only=True) as store:
            episode = next(reversed(store.ids()), None)
    print(inspect_store(path, Path(config.out), episode))
