"""`regrasp bench data`: records a bench task's data set with its mediocre demonstrator, as D4RL-style HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.bench.tasks import BENCH_TASKS, BenchTask
from policies.gym.environment import interface_of, make_env
from trajectories.errors import ConfigError
from trajectories.flat.d4rl_writer import write_d4rl
from trajectories.flat.episode import FlatDataset, FlatEpisode


def record(task: BenchTask, episodes: int, seed: int, title: str) -> FlatDataset:
    """Record whole episodes; the same seed gives the same.

    Args:
        task: Environment and demonstrator.
        episodes: How many.
        seed: Of starts and demonstrators.
        title: Shown before the progress bar.
    """
    env = make_env(task.env)
    interface = interface_of(env)
    middle, half = (interface.high + interface.low) / 2, (interface.high - interface.low) / 2
    made = []
    for number in tqdm(range(episodes), desc=title, unit="episode", dynamic_ncols=True):
        rng = np.random.default_rng([seed, number])
        observation, _ = env.reset(seed=int(rng.integers(2**31)))
        demonstrate = task.demonstrate(env, rng)
        seen, actions, rewards = [observation], [], []
        terminated = truncated = False
        while not (terminated or truncated):
            action = demonstrate(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            seen.append(observation)
            actions.append(middle + half * action)  # a file holds the environment's own units
            rewards.append(reward)
        made.append(FlatEpisode.of(seen, actions, rewards, bool(terminated)))
    env.close()
    return FlatDataset(tuple(made), title)


def data_file(folder: Path, name: str, seed: int) -> Path:
    """Where the data set of a bench task is kept."""
    return folder / f"{name}_seed{seed}.hdf5"


def recorded(name: str, folder: Path, seed: int, episodes: int | None = None) -> Path:
    """The file of a bench task's data set, recorded now if it isn't there.

    Args:
        name: Of the task.
        folder: Of the files.
        seed: Of starts and demonstrators.
        episodes: How many, when it is recorded; None for the task's own number.
    """
    path, task = data_file(folder, name, seed), BENCH_TASKS[name]
    if not path.exists():
        count = task.episodes if episodes is None else episodes
        data = record(task, count, seed, f"recording {name}")
        about: dict[str, str | int | float] = {"env": task.env.id, "task": name, "seed": seed, "episodes": count}
        write_d4rl(path, data, about)
        print(f"{path}: {data.describe()}")
    return path


def run(config: DictConfig) -> None:
    """Record `config.env` unless it is there."""
    name = str(config.env)
    if name not in BENCH_TASKS:
        raise ConfigError(f"There is no bench task {name!r}; there are {', '.join(BENCH_TASKS)}.")
    folder, seed = Path(config.data_dir), int(config.seed)
    known = data_file(folder, name, seed)
    if known.exists():
        print(f"{known} is there already; delete it to record it anew.")
    recorded(name, folder, seed, None if config.episodes is None else int(config.episodes))
