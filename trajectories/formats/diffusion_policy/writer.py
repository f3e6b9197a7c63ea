"""Writing diffusion_policy's replay buffers, format 2 of Zarr, as a folder `*.zarr` or zipped, `*.zarr.zip`.

An episode's keys are names of arrays in `data`. The format has one row a step, observation and action: the row T + 1 of
observations that have one, what was seen after the last action, has no place in it and is left out.
"""

from __future__ import annotations

import math
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.durable import sync_folder
from trajectories.formats.foreign import ForeignEpisode, ForeignSink, FormatError, SinkSettings
from trajectories.formats.keys import SameKeys, steps_of
from trajectories.formats.staging import Staged

if TYPE_CHECKING:
    import zarr

_CHUNK_BYTES = 2e6
"""What diffusion_policy aims at."""
_BATCH = 32


class ReplayBufferSink(ForeignSink):
    """One buffer; beside its arrays the root's attributes say the rate, those of `meta` instructions and attributes.

    Args:
        path: Of the new folder, or of a zip file if it ends in .zip.
        settings: `attributes` become the root's.

    Raises:
        FormatError: Something is at `path`, or the disk refuses.
    """

    def __init__(self, path: Path, settings: SinkSettings) -> None:
        import zarr

        self._staged = Staged(path)
        self._zipped = path.suffix == ".zip"
        self._folder = self._staged.path.with_suffix(".folder.partial") if self._zipped else self._staged.path
        self._keys = SameKeys()
        self._ends: list[int] = []
        self._closed = False
        self._instructions: list[list[str]] = []
        self._attributes: list[dict[str, Any]] = []
        robot = {} if settings.robot_type is None else {"robot_type": settings.robot_type}
        try:
            self._root = zarr.open_group(str(self._folder), mode="w-", zarr_format=2)
            self._root.attrs.update({**settings.attributes, **robot, "fps": settings.fps})
            self._data = self._root.create_group("data")
        except OSError as error:
            raise FormatError(f"{path} can't be written: {error}. Make room or check the permissions.") from error

    def write(self, episode: ForeignEpisode) -> None:
        """See `ForeignSink.write`; the actions are `action` or `actions`."""
        steps = steps_of(episode, "action" if "action" in episode.columns else "actions")
        self._keys.check(episode)
        try:
            for key, column in episode.columns.items():
                self._append(key, column[:steps])
            for key, frames in episode.images.items():
                for start in range(0, steps, _BATCH):
                    self._append(key, frames.read(range(start, min(start + _BATCH, steps))))
        except OSError as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. Make room on the disk.") from error
        self._ends.append((self._ends[-1] if self._ends else 0) + steps)
        self._instructions.append(list(episode.instructions))
        self._attributes.append(dict(episode.attributes))

    def _append(self, key: str, rows: NDArray[Any]) -> None:
        array = self._data.get(key)
        if array is None:
            array = _create(self._data, key, rows)
        array.append(rows)  # type: ignore[union-attr]

    def close(self) -> None:
        """See `ForeignSink.close`."""
        if self._closed:
            return
        if not self._ends:
            self.abort()
            raise FormatError(f"No episode was written to {self._staged.final}; nothing is left there.")
        try:
            meta = self._root.create_group("meta")
            ends = np.array(self._ends, np.int64)
            meta.create_array("episode_ends", data=ends, chunks=ends.shape, compressors=None)
            if any(self._instructions) or any(self._attributes):
                meta.attrs.update({"instructions": self._instructions, "attributes": self._attributes})
            if self._zipped:
                _zip(self._folder, self._staged.path)
                shutil.rmtree(self._folder)
        except OSError as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. Make room on the disk.") from error
        self._closed = True
        self._staged.commit()

    def abort(self) -> None:
        """See `ForeignSink.abort`."""
        if self._zipped:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._staged.discard()


def _create(group: zarr.Group, key: str, rows: NDArray[Any]) -> zarr.Array[Any]:
    """An array without rows, chunked along time, compressed as diffusion_policy does for the disk."""
    import numcodecs

    length = max(1, min(math.ceil(_CHUNK_BYTES / max(1, rows[0].nbytes)), 4096))
    return group.create_array(
        key,
        shape=(0, *rows.shape[1:]),
        dtype=rows.dtype,
        chunks=(length, *rows.shape[1:]),
        compressors=numcodecs.Blosc("zstd", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE),
        config={"write_empty_chunks": True},
    )


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    sync_folder(target.parent)
