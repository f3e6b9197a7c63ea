"""Reading Minari data sets (https://minari.farama.org), through the minari library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from policies.gym.observation_spaces import Layout, alphabetical
from trajectories.errors import RegraspError
from trajectories.flat.episode import FlatDataset, FlatEpisode, flags, require_finite
from trajectories.flat.errors import DatasetError, unreadable
from trajectories.types import Float32

METADATA = "metadata.json"


def is_minari(path: Path) -> bool:
    """Whether `path` is a Minari data set's folder (or the `data` folder in it)."""
    return (path / METADATA).is_file() or (path / "data" / METADATA).is_file()


def read_minari(path: Path) -> FlatDataset:
    """All episodes of a Minari data set.

    Dict and tuple observations are flattened as by `gymnasium.spaces.flatten`, with keys of a Dict in alphabetical
    order, the same as `policies.gym.environment.make_env` does to the environment. A termination stays apart from
    a truncation; an episode that has neither at its end counts as cut.

    Args:
        path: The data set's folder, or the `data` folder in it.

    Raises:
        DatasetError: It can't be read, or holds no continuous actions.
        ConfigError: It observes text, or images that are neither grey nor RGB.
    """
    import minari

    folder = path if (path / METADATA).is_file() else path / "data"
    with _readable(str(path)):
        data = minari.MinariDataset(folder)
        space, actions = alphabetical(data.spec.observation_space), data.spec.action_space
    layout = Layout.of(space, str(path))
    if not isinstance(actions, spaces.Box) or len(actions.shape) != 1:
        raise DatasetError(f"{path} has actions {actions}; expected a vector of continuous ones (a Box).")
    episodes, stored = [], iter(data.iterate_episodes())
    for number in range(int(data.total_episodes)):
        where = f"{path}, episode {number}"
        with _readable(where):
            episodes.append(_episode(next(stored), layout, where))
    return FlatDataset(tuple(episodes), str(path))


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn whatever minari and h5py raise for damaged files into a `DatasetError` that says where."""
    try:
        yield
    except RegraspError:
        raise
    except Exception as error:  # AttributeError, KeyError, OSError, TypeError, ValueError, ...: of a damaged file, any
        raise DatasetError(unreadable(where, "a Minari data set", error)) from error


def _episode(episode: Any, layout: Layout, where: str) -> FlatEpisode:
    """One of Minari's episodes, checked."""
    steps = len(episode.actions)
    if steps < 1 or len(episode.rewards) != steps:
        raise DatasetError(
            f"{where} has {steps} actions and {len(episode.rewards)} rewards; expected as many of both, at least one. "
            "Delete the episode, or record the data set again."
        )
    numbers = [flatten_all(part.space, part.of(episode.observations), steps + 1, where) for part in layout.numbers]
    observations = np.concatenate([np.zeros((steps + 1, 0), np.float32), *numbers], 1)
    images = layout.pictures(episode.observations)
    taken, rewards = (np.asarray(c, np.float32) for c in (episode.actions, episode.rewards))
    terminations, truncations = (
        flags(np.asarray(column), name, where)
        for name, column in (("terminations", episode.terminations), ("truncations", episode.truncations))
    )
    for name, column in (("terminations", terminations), ("truncations", truncations)):
        if column.shape != (steps,):
            raise DatasetError(f"{where}: {name} have shape {column.shape}; expected ({steps},), one for each step.")
    if terminations[:-1].any() or truncations[:-1].any():
        raise DatasetError(f"{where} goes on after its end; expected terminations and truncations at the last step.")
    require_finite([("observations", observations), ("actions", taken), ("rewards", rewards)], where)
    return FlatEpisode(observations, taken, rewards, bool(terminations[-1]), images)


def flatten_all(space: spaces.Space[Any], values: Any, rows: int, where: str) -> Float32:
    """Observations of one episode as vectors.

    Args:
        space: Of a single observation.
        values: As Minari gives them: nested dictionaries and tuples of arrays (rows, ...).
        rows: Observations there must be, T + 1.
        where: For messages.

    Returns:
        float32 (rows, F), each row as `gymnasium.spaces.flatten` makes it of the space with its keys in alphabetical
        order.

    Raises:
        DatasetError: There are more or fewer.
    """
    if isinstance(space, spaces.Dict):
        ordered = sorted(space.items(), key=lambda entry: str(entry[0]))
        return np.concatenate([flatten_all(inner, values[key], rows, where) for key, inner in ordered], 1)
    if isinstance(space, spaces.Tuple):
        pairs = zip(space.spaces, values, strict=True)
        return np.concatenate([flatten_all(inner, value, rows, where) for inner, value in pairs], 1)
    column = np.asarray(values)
    if len(column) != rows:
        raise DatasetError(f"{where} has {len(column)} observations of {space}; expected {rows}, one more than steps.")
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return column.reshape(rows, -1).astype(np.float32)
    return np.stack([np.asarray(spaces.flatten(space, value)) for value in column]).astype(np.float32)
