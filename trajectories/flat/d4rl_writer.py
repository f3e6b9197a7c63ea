"""Writing D4RL-style HDF5 files, whole or not at all; `trajectories.flat.d4rl` reads them back exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trajectories.durable import replacing
from trajectories.flat.episode import FlatDataset
from trajectories.flat.errors import DatasetError


def write_d4rl(path: Path, data: FlatDataset, attributes: Mapping[str, str | int | float] | None = None) -> None:
    """Write all episodes, with `timeouts` and `next_observations`, so that nothing is lost.

    Args:
        path: Created or replaced; its folder is created.
        data: The episodes.
        attributes: Kept in the file for people (how the data came about); readers ignore them.

    Raises:
        DatasetError: The disk refuses, or there are images, which this format has no place for; an older file is as it
            was.
    """
    import h5py

    if data.cameras:
        raise DatasetError(
            f"A D4RL-style file has no place for the images {', '.join(data.cameras)}; write Minari's format."
        )

    episodes = data.episodes
    ends = np.cumsum([len(episode) for episode in episodes]) - 1
    terminated = np.array([episode.terminated for episode in episodes])
    terminals = np.zeros(data.transitions, np.bool_)
    timeouts = np.zeros(data.transitions, np.bool_)
    terminals[ends], timeouts[ends] = terminated, ~terminated
    columns = {
        "observations": np.concatenate([episode.observations[:-1] for episode in episodes]),
        "next_observations": np.concatenate([episode.observations[1:] for episode in episodes]),
        "actions": np.concatenate([episode.actions for episode in episodes]),
        "rewards": np.concatenate([episode.rewards for episode in episodes]),
        "terminals": terminals,
        "timeouts": timeouts,
    }
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, h5py.File(part, "w") as file:
            for name, column in columns.items():
                file.create_dataset(name, data=column, compression="gzip", compression_opts=4)
            file.attrs.update(attributes or {})
    except OSError as error:
        raise DatasetError(f"{path} can't be written: {error}. Make room or check the permissions.") from error
