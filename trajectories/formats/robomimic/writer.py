"""Writing robomimic's HDF5 files, as its `dataset_states_to_obs.py` lays them out.

An episode's keys are those of `reader.py`. `obs/{key}` with T + 1 rows becomes `obs/{key}` and `next_obs/{key}` of T
rows each; all others have T rows. Images are compressed without loss, a frame a chunk.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trajectories.formats.foreign import ForeignEpisode, ForeignSink, FormatError, FrameSource, SinkSettings
from trajectories.formats.keys import SameKeys, steps_of
from trajectories.formats.staging import Staged

if TYPE_CHECKING:
    import h5py

_BATCH = 32
_GYM = 2
"""robomimic's number for an environment of Gym: the one of its kinds that says nothing of a simulator."""
_OWN = ("masks", "num_samples", "ep_meta")
"""Attributes of an episode that are written in a place of their own."""


class RobomimicSink(ForeignSink):
    """One file; demonstrations are `demo_{i}` in the order of writing.

    Args:
        path: Of the new file.
        settings: `attributes["env_args"]` says what the data were recorded in (env_name, env_version, type,
            env_kwargs); without it an environment `attributes["env_name"]` of Gym with this rate and robot.

    Raises:
        FormatError: Something is at `path`, or the disk refuses.
    """

    def __init__(self, path: Path, settings: SinkSettings) -> None:
        import h5py

        self._staged = Staged(path)
        self._keys = SameKeys()
        self._environment = _environment(settings)
        self._total = self._count = 0
        self._masks: dict[str, list[str]] = {}
        try:
            self._file: h5py.File | None = h5py.File(self._staged.path, "w")
        except OSError as error:
            raise FormatError(f"{path} can't be written: {error}. Make room or check the permissions.") from error
        self._data = self._file.create_group("data")

    def write(self, episode: ForeignEpisode) -> None:
        """See `ForeignSink.write`; `attributes["masks"]` names the subsets that the demonstration is in."""
        steps = steps_of(episode)
        _check(episode, steps)
        self._keys.check(episode)
        name = f"demo_{self._count}"
        try:
            group = self._data.create_group(name)
            for key, column in episode.columns.items():
                self._column(group, key, column, steps)
            for key, frames in episode.images.items():
                _write_frames(group, key, frames, steps)
            group.attrs["num_samples"] = steps
            for key, value in _attributes(episode).items():
                group.attrs[key] = value
        except OSError as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. Make room on the disk.") from error
        for mask in episode.attributes.get("masks", ()):
            self._masks.setdefault(mask, []).append(name)
        self._count, self._total = self._count + 1, self._total + steps

    @staticmethod
    def _column(group: h5py.Group, key: str, column: np.ndarray[Any, Any], steps: int) -> None:
        group.create_dataset(key, data=column[:steps])
        if len(column) > steps:
            group.create_dataset(_later(key), data=column[1:])

    def close(self) -> None:
        """See `ForeignSink.close`."""
        if self._file is None:
            return
        if self._count == 0:
            self.abort()
            raise FormatError(f"No episode was written to {self._staged.final}; nothing is left there.")
        try:
            self._data.attrs["total"] = self._total
            self._data.attrs["env_args"] = json.dumps(self._environment, indent=4)
            for mask, demos in self._masks.items():
                self._file.create_dataset(f"mask/{mask}", data=np.array(demos, "S"))
            self._file.close()
        except OSError as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. Make room on the disk.") from error
        self._file = None
        self._staged.commit()

    def abort(self) -> None:
        """See `ForeignSink.abort`."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._staged.discard()


def _environment(settings: SinkSettings) -> dict[str, Any]:
    given = settings.attributes.get("env_args")
    if isinstance(given, dict):
        return given
    kwargs: dict[str, Any] = {"control_freq": settings.fps}
    if settings.robot_type is not None:
        kwargs["robots"] = settings.robot_type
    name = settings.attributes.get("env_name", settings.robot_type or "unknown")
    return {"env_name": name, "env_version": "", "type": _GYM, "env_kwargs": kwargs}


def _later(key: str) -> str:
    return f"next_{key}"


def _check(episode: ForeignEpisode, steps: int) -> None:
    if episode.columns["actions"].ndim != 2:
        raise FormatError(
            f"Actions of {episode.name!r} have shape {episode.columns['actions'].shape}; expected (T, A)."
        )
    misplaced = [key for key in episode.images if not key.startswith(("obs/", "next_obs/"))]
    if misplaced:
        raise FormatError(f"Episode {episode.name!r} has images {misplaced}; robomimic's are obs/...")
    rows = {key: len(column) for key, column in episode.columns.items()}
    rows |= {key: frames.shape[0] for key, frames in episode.images.items()}
    for key, count in rows.items():
        if count > steps and not key.startswith("obs/"):
            raise FormatError(
                f"{key!r} of {episode.name!r} has {count} rows; only obs/... may have one more than {steps}."
            )
        if count > steps and _later(key) in rows:
            raise FormatError(f"Episode {episode.name!r} has {key!r} with {count} rows and {_later(key)!r}; give one.")


def _attributes(episode: ForeignEpisode) -> dict[str, Any]:
    """Attributes of the group: those of the episode that HDF5 holds as they are, and the instruction in `ep_meta`."""
    simple = {k: v for k, v in episode.attributes.items() if k not in _OWN and isinstance(v, str | int | float)}
    given = episode.attributes.get("ep_meta")
    meta = json.loads(given) if isinstance(given, str) else {}
    if episode.instructions:
        meta["lang"] = episode.instructions[0]
    return simple | ({"ep_meta": json.dumps(meta)} if meta else {})


def _write_frames(group: h5py.Group, key: str, frames: FrameSource, steps: int) -> None:
    count, size = frames.shape[0], frames.shape[1:]
    size = (*size, 1) if frames.dtype == np.uint16 else size
    targets = {key: 0} | ({_later(key): 1} if count > steps else {})
    packed = {"chunks": (1, *size), "compression": "gzip", "compression_opts": 1}
    datasets = [
        (group.create_dataset(name, (steps, *size), frames.dtype, **packed), first) for name, first in targets.items()
    ]
    for start in range(0, count, _BATCH):
        stop = min(start + _BATCH, count)
        batch = frames.read(range(start, stop)).reshape(-1, *size)
        for dataset, first in datasets:
            low, high = max(start, first), min(stop, steps + first)
            if low < high:
                dataset[low - first : high - first] = batch[low - start : high - start]
