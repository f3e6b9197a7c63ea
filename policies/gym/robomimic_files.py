"""Reading robomimic's HDF5 files as data of a Gymnasium environment that observes the same under the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.gym.images import as_rgb
from policies.gym.minari_files import flatten_all
from policies.gym.observation_spaces import Layout, Part
from trajectories.flat.episode import FlatDataset, FlatEpisode, require_finite
from trajectories.flat.errors import DatasetError
from trajectories.formats.foreign import DamagedEpisodeError, ForeignEpisode, FormatError
from trajectories.formats.robomimic.reader import RobomimicSource

_NOW, _AFTER = "obs/", "next_obs/"
_FLAT = "flat"
"""robomimic's name for the observation of an environment that observes one vector alone."""


def read_robomimic(path: Path, layout: Layout) -> FlatDataset:
    """All demonstrations, with those of their observations that the environment has.

    A demonstration ends at its first step that is marked `done`; what robomimic recorded after it is left out, as the
    environment would have begun anew. A done step with a positive reward terminates, one without was cut. Without
    `next_obs` the step before a cut is left out, and a termination's last observation is that before it.

    Args:
        path: Of the file.
        layout: Of the environment's observations; robomimic's names of them are the keys of a Dict.

    Raises:
        DatasetError: It can't be read, or lacks an observation, rewards or ends.
    """
    episodes, dropped, stand_ins = [], 0, 0
    try:
        source = RobomimicSource(path)
        for name in source.names():
            episode, lost, stood_in = _episode(source.read(name), layout, f"{path}, {name}")
            dropped, stand_ins = dropped + lost, stand_ins + stood_in
            if episode is not None:
                episodes.append(episode)
    except (FormatError, DamagedEpisodeError) as error:
        raise DatasetError(str(error)) from error
    return FlatDataset(tuple(episodes), str(path), dropped, stand_ins)


def _episode(demo: ForeignEpisode, layout: Layout, where: str) -> tuple[FlatEpisode | None, int, int]:
    """The episode, the transitions left out and the observations that another stands in for."""
    actions, rewards, dones = (_column(demo, name, where) for name in ("actions", "rewards", "dones"))
    ends = np.flatnonzero(dones.reshape(-1) != 0)
    steps = int(ends[0]) + 1 if len(ends) else len(actions)
    rewards = rewards.reshape(-1)
    terminated = len(ends) > 0 and bool(rewards[steps - 1] > 0)
    kept = {p.name: _observations(demo, p, steps, where) for p in (*layout.numbers, *layout.images)}
    short = any(len(column) == steps for column in kept.values())
    lost = int(short and not terminated)
    if short and terminated:
        kept = {name: np.concatenate([c[:steps], c[steps - 1 : steps]]) for name, c in kept.items()}
    steps -= lost
    if steps == 0:
        return None, lost, 0
    rows = steps + 1
    numbers = [flatten_all(part.space, kept[part.name][:rows], rows, where) for part in layout.numbers]
    seen = np.concatenate([np.zeros((rows, 0), np.float32), *numbers], 1)
    images = {part.name: as_rgb(kept[part.name][:rows], len(part.space.shape or ())) for part in layout.images}
    taken, given = actions[:steps].astype(np.float32), rewards[:steps].astype(np.float32)
    require_finite([("observations", seen), ("actions", taken), ("rewards", given)], where)
    return FlatEpisode(seen, taken, given, terminated, images), lost, int(short and terminated)


def _observations(demo: ForeignEpisode, part: Part, steps: int, where: str) -> NDArray[Any]:
    """What was seen of one part of the observation up to step `steps`: steps + 1 rows, or `steps` where that is all."""
    key = part.name if part.path else _FLAT
    if _NOW + key in demo.images:
        return _joined(
            {name: frames.read() for name, frames in demo.images.items() if name.endswith(f"/{key}")}, key, steps
        )
    if _NOW + key not in demo.columns:
        known = sorted(name.removeprefix(_NOW) for name in (*demo.columns, *demo.images) if name.startswith(_NOW))
        advice = (
            f"it has {', '.join(known)}. Choose what the environment observes (+env_kwargs.keys=[...]), or extract it."
            if known
            else "it has none: extract them with robomimic's dataset_states_to_obs.py."
        )
        raise DatasetError(f"{where} lacks the observation {key!r}; {advice}")
    return _joined(demo.columns, key, steps)


def _joined(columns: Mapping[str, NDArray[Any]], key: str, steps: int) -> NDArray[Any]:
    now, after = columns[_NOW + key], columns.get(_AFTER + key)
    if len(now) > steps or after is None:
        return now[: steps + 1]
    return np.concatenate([now[:steps], after[steps - 1 : steps]])


def _column(demo: ForeignEpisode, name: str, where: str) -> NDArray[Any]:
    if name not in demo.columns:
        raise DatasetError(f"{where} has no {name}; extract them with robomimic's dataset_states_to_obs.py.")
    return demo.columns[name]
