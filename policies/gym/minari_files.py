"""Reading Minari data sets (https://minari.farama.org), through the minari library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from policies.gym.environment import require_vectors
from trajectories.flat.episode import FlatDataset, FlatEpisode, require_finite
from trajectories.flat.errors import DatasetError
from trajectories.types import Float32

METADATA = "metadata.json"


def is_minari(path: Path) -> bool:
    """Whether `path` is a Minari data set's folder (or the `data` folder in it)."""
    return (path / METADATA).is_file() or (path / "data" / METADATA).is_file()


def read_minari(path: Path) -> FlatDataset:
    """All episodes of a Minari data set.

    Dict and tuple observations are flattened in the order of `gymnasium.spaces.flatten` (keys of a Dict in alphabetical
    order), the same as `gymnasium.wrappers.FlattenObservation` does to the environment. A termination stays apart from
    a truncation; an episode that has neither at its end counts as cut.

    Args:
        path: The data set's folder, or the `data` folder in it.

    Raises:
        DatasetError: It can't be read, or holds what isn't a state and continuous actions.
        ConfigError: It observes images or text.
    """
    import minari

    folder = path if (path / METADATA).is_file() else path / "data"
    try:
        data = minari.MinariDataset(folder)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise DatasetError(
            f"{path} can't be read as a Minari data set: {error}. Download or record it again."
        ) from error
    space, actions = data.spec.observation_space, data.spec.action_space
    require_vectors(space, str(path))
    if not isinstance(actions, spaces.Box) or len(actions.shape) != 1:
        raise DatasetError(f"{path} has actions {actions}; expected a vector of continuous ones (a Box).")
    episodes = []
    for episode in data.iterate_episodes():
        where = f"{path}, episode {episode.id}"
        observations = flatten_all(space, episode.observations, len(episode) + 1, where)
        taken, rewards = (np.asarray(c, np.float32) for c in (episode.actions, episode.rewards))
        terminations = np.asarray(episode.terminations, bool)
        if terminations[:-1].any() or np.asarray(episode.truncations, bool)[:-1].any():
            raise DatasetError(
                f"{where} goes on after its end; expected terminations and truncations at the last step."
            )
        require_finite([("observations", observations), ("actions", taken), ("rewards", rewards)], where)
        episodes.append(FlatEpisode(observations, taken, rewards, bool(terminations[-1])))
    return FlatDataset(tuple(episodes), str(path))


def flatten_all(space: spaces.Space[Any], values: Any, rows: int, where: str) -> Float32:
    """Observations of one episode as vectors.

    Args:
        space: Of a single observation.
        values: As Minari gives them: nested dictionaries and tuples of arrays (rows, ...).
        rows: Observations there must be, T + 1.
        where: For messages.

    Returns:
        float32 (rows, F), each row as `gymnasium.spaces.flatten` makes it.

    Raises:
        DatasetError: There are more or fewer.
    """
    if isinstance(space, spaces.Dict):
        return np.concatenate([flatten_all(inner, values[key], rows, where) for key, inner in space.items()], 1)
    if isinstance(space, spaces.Tuple):
        pairs = zip(space.spaces, values, strict=True)
        return np.concatenate([flatten_all(inner, value, rows, where) for inner, value in pairs], 1)
    column = np.asarray(values)
    if len(column) != rows:
        raise DatasetError(f"{where} has {len(column)} observations of {space}; expected {rows}, one more than steps.")
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return column.reshape(rows, -1).astype(np.float32)
    return np.stack([np.asarray(spaces.flatten(space, value)) for value in column]).astype(np.float32)
