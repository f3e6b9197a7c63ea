"""Reading D4RL-style HDF5 files (arXiv 2004.07219): flat columns of all steps, one after the other.

    observations      (N, F)   what was seen before the step
    actions           (N, A)
    rewards           (N,)
    terminals         (N,)     the step ended the task
    timeouts          (N,)     optional: the episode was cut after the step
    next_observations (N, F)   optional: what was seen after the step

Everything else (infos/..., metadata/...) is ignored. An episode ends at a terminal, at a time-out, at the end of the
file, and where `next_observations` isn't the next row's observation: the recording was cut there without a mark.

Most of D4RL's files lack `next_observations`. What a step before a time-out led to is then in no row of the file, so
that this step is left out (`FlatDataset.dropped` counts them): the row below it belongs to another episode, and to
bootstrap from it is the mistake of many readers. At a terminal nothing is bootstrapped: the step stays, and the
observation before stands in for the one after. A file with neither `next_observations` nor `timeouts` can't say where
time ran out: only terminals end its episodes, and a warning says so.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajectories.flat.episode import FlatDataset, FlatEpisode, flags, require_finite
from trajectories.flat.errors import DatasetError, unreadable
from trajectories.types import Bool, Float32

logger = logging.getLogger(__name__)
REQUIRED = ("observations", "actions", "rewards", "terminals")
OPTIONAL = ("timeouts", "next_observations")
_DIMENSIONS = {"observations": 2, "actions": 2, "next_observations": 2}
_SAME = 1e-6
"""Relative difference of float32 numbers that mean the same observation."""


def read_d4rl(path: Path) -> FlatDataset:
    """All episodes of a D4RL-style HDF5 file.

    Args:
        path: The file.

    Raises:
        DatasetError: It can't be read, a column is missing, has another length or shape, isn't finite, or a mark of
            an end is neither 0 nor 1.
    """
    columns = _read_columns(Path(path))
    observations, actions, rewards = (columns[name].astype(np.float32) for name in REQUIRED[:3])
    after = columns["next_observations"].astype(np.float32) if "next_observations" in columns else None
    numbers = [("observations", observations), ("actions", actions), ("rewards", rewards)]
    require_finite([*numbers, *([] if after is None else [("next_observations", after)])], str(path))
    terminals = flags(columns["terminals"], "terminals", str(path))
    ends = terminals.copy()
    if "timeouts" in columns:
        ends |= flags(columns["timeouts"], "timeouts", str(path))
    elif after is None:
        found = f"its {int(terminals.sum()):,} terminals" if terminals.any() else "nothing: it counts as one episode"
        logger.warning(
            "%s has neither timeouts nor next_observations, so it can't say where episodes were cut; they end at %s. "
            "Values are then learned across the cuts: add a column `timeouts` (1 where an episode was cut).",
            path,
            found,
        )
    if after is not None:
        ends[:-1] |= ~_same(after[:-1], observations[1:])
    ends[-1] = True
    episodes: list[FlatEpisode] = []
    dropped = stand_ins = start = 0
    for stop in (np.flatnonzero(ends) + 1).tolist():
        rows, terminated = slice(start, stop), bool(terminals[stop - 1])
        start = stop
        if after is not None:
            last = after[stop - 1 : stop]
        elif terminated:
            last = observations[stop - 1 : stop]
            stand_ins += 1
        else:
            dropped += 1
            rows, last = slice(rows.start, stop - 1), observations[stop - 1 : stop]
            if rows.start == rows.stop:
                continue
        seen = np.concatenate([observations[rows], last])
        episodes.append(FlatEpisode(seen, actions[rows].copy(), rewards[rows].copy(), terminated))
    return FlatDataset(tuple(episodes), str(path), dropped, stand_ins)


def _same(left: Float32, right: Float32) -> Bool:
    """Whether rows are equal up to rounding, (N,)."""
    return (np.abs(left - right) <= _SAME * np.maximum(1.0, np.abs(right))).all(1)


def _read_columns(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    if not path.is_file():
        raise DatasetError(f"There is no file {path}. Give the path of a D4RL-style HDF5 file.")
    try:
        with h5py.File(path, "r") as file:
            found = sorted(file)
            missing = [name for name in REQUIRED if not isinstance(file.get(name), h5py.Dataset)]
            if missing:
                raise DatasetError(_lacking(path, missing, found))
            names = [*REQUIRED, *(name for name in OPTIONAL if isinstance(file.get(name), h5py.Dataset))]
            columns = {name: np.asarray(file[name]) for name in names}
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise DatasetError(unreadable(str(path), "HDF5", error)) from error
    rows = len(columns["observations"]) if columns["observations"].ndim else 0
    for name, column in columns.items():
        expected = _DIMENSIONS.get(name, 1)
        if column.ndim != expected or len(column) != rows or rows == 0:
            shape = f"({rows}, {'F' if 'obs' in name else 'A'})" if expected == 2 else f"({rows},)"
            raise DatasetError(
                f"{path}: {name} has shape {column.shape}; expected {shape} with one row for each of at least one "
                "step. Write all columns with the same length."
            )
        if column.dtype.kind not in "biuf":
            raise DatasetError(f"{path}: {name} holds {column.dtype}; expected numbers.")
    if "next_observations" in columns and columns["next_observations"].shape != columns["observations"].shape:
        raise DatasetError(
            f"{path}: next_observations has shape {columns['next_observations'].shape}; expected that of observations, "
            f"{columns['observations'].shape}."
        )
    return columns


def _lacking(path: Path, missing: list[str], found: list[str]) -> str:
    text = f"{path} lacks {', '.join(missing)}; it holds {', '.join(found[:8]) or 'nothing'}. "
    if any(name.startswith("episode_") for name in found):
        return text + "This looks like Minari's main_data.hdf5: give the data set's folder instead of the file."
    return text + f"A D4RL-style file has {', '.join(REQUIRED)}, and maybe {' and '.join(OPTIONAL)}."
