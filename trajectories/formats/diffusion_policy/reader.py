"""Reading diffusion_policy's replay buffers: a folder `*.zarr`, or the same zipped, `*.zarr.zip`.

Columns are the arrays of `data` under their own names, T rows an episode; those of uint8 (N, H, W, 3) and of uint16
(N, H, W) are images. The format knows no rate and no instructions; what our writer notes beside is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode, FormatError, FrameSource, Key
from trajectories.formats.plain import plain_mapping

if TYPE_CHECKING:
    import zarr

ENDS = "meta/episode_ends"


def is_replay_buffer(path: Path) -> bool:
    """Whether this is a folder, or a zip file, with `data` and `meta/episode_ends` in it."""
    if path.is_dir():
        return (path / "data").is_dir() and (path / ENDS).is_dir()
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in (f"{ENDS}/.zarray", f"{ENDS}/zarr.json") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


class ReplayBufferSource:
    """Episodes of one buffer; an episode's name is `episode_{i}`.

    Args:
        path: Of the folder or zip file.

    Raises:
        FormatError: It is no such buffer, its episodes' ends don't fit its arrays, or an array is compressed by what
            isn't installed here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = _open(path)
        self._data = _group(self._root, "data", path)
        meta = _group(self._root, "meta", path)
        try:
            ends = np.asarray(meta["episode_ends"])
            self._arrays: dict[str, zarr.Array[Any]] = dict(_arrays(self._data))
        except Exception as error:  # zarr raises what its stores, codecs and metadata raise
            raise FormatError(f"{path} can't be read as a replay buffer: {type(error).__name__}: {error}.") from error
        if ends.ndim != 1 or ends.dtype.kind not in "iu":
            raise FormatError(f"{path} has episode_ends of {ends.dtype} {ends.shape}; expected one integer an episode.")
        self._ends: list[int] = [0, *ends.tolist()]
        if len(ends) == 0 or (np.diff(self._ends) <= 0).any():
            raise FormatError(
                f"{path} has the episode_ends {ends[:8].tolist()} ...; expected ascending numbers of rows."
            )
        self._attributes = plain_mapping(dict(self._root.attrs))
        self._meta = dict(meta.attrs)

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return [f"episode_{number}" for number in range(len(self._ends) - 1)]

    def describe(self) -> Description:
        """See `ForeignSource.describe`."""
        keys: Mapping[str, Key] = {
            key: Key(array.shape[1:], str(array.dtype), image=_is_image(array)) for key, array in self._arrays.items()
        }
        robot = self._attributes.get("robot_type")
        robot = robot if isinstance(robot, str) else None
        count = len(self._ends) - 1
        return Description("diffusion_policy", "zarr 2", robot, self._rate, count, keys, self._attributes)

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`."""
        prefix, _, number = name.partition("_")
        if prefix != "episode" or not number.isdigit() or int(number) >= len(self._ends) - 1:
            raise FormatError(
                f"{self._path} has no episode {name!r}; it has episode_0 to episode_{len(self._ends) - 2}."
            )
        place = int(number)
        start, stop = self._ends[place : place + 2]
        columns, images = {}, dict[str, FrameSource]()
        for key, array in self._arrays.items():
            where = f"{self._path}, data/{key}, {name}"
            if array.shape[0] < stop:
                raise DamagedEpisodeError(f"{where} ends at row {array.shape[0]}; expected rows {start} to {stop}.")
            if _is_image(array):
                images[key] = _ArrayRows(array, start, stop - start, where)
            else:
                columns[key] = _rows(array, start, stop, where)
        said, noted = self._noted("instructions", place), self._noted("attributes", place)
        words = tuple(map(str, said)) if isinstance(said, list) else ()
        return ForeignEpisode(name, self._rate, columns, images, words, plain_mapping(noted))

    def _noted(self, what: str, place: int) -> Any:
        """What our writer noted of an episode; None of others' buffers."""
        entries = self._meta.get(what)
        return entries[place] if isinstance(entries, list) and place < len(entries) else None

    @property
    def _rate(self) -> float | None:
        rate = self._attributes.get("fps")
        return float(rate) if isinstance(rate, int | float) and rate > 0 else None


@dataclass(frozen=True)
class _ArrayRows:
    """Frames that are rows of an array."""

    array: zarr.Array[Any]
    start: int
    count: int
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count, *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        if indices is None:
            return _rows(self.array, self.start, self.start + self.count, self.where)
        if len(indices) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)
        wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
        low, high = int(wanted[0]), int(wanted[-1]) + 1
        if high - low <= 2 * len(wanted):
            return _rows(self.array, self.start + low, self.start + high, self.where)[wanted[places] - low]
        frames = [_rows(self.array, self.start + int(one), self.start + int(one) + 1, self.where) for one in wanted]
        return np.concatenate(frames)[places]


def _rows(array: zarr.Array[Any], start: int, stop: int, where: str) -> NDArray[Any]:
    try:
        return np.asarray(array[start:stop])
    except Exception as error:  # codecs raise RuntimeError, ValueError, OSError, ...
        raise DamagedEpisodeError(f"{where} can't be read: {type(error).__name__}: {error}.") from error


def _is_image(array: zarr.Array[Any]) -> bool:
    colour = array.dtype == np.uint8 and len(array.shape) == 4 and array.shape[3] == 3
    return colour or (array.dtype == np.uint16 and len(array.shape) == 3)


def _open(path: Path) -> zarr.Group:
    import zarr
    from zarr.storage import LocalStore, ZipStore

    try:
        store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r", read_only=True)
        return zarr.open_group(store, mode="r")
    except Exception as error:  # FileNotFoundError, BadZipFile, JSON's and zarr's own errors
        raise FormatError(f"{path} can't be opened as Zarr: {type(error).__name__}: {error}.") from error


def _group(root: zarr.Group, name: str, path: Path) -> zarr.Group:
    import zarr

    try:
        group = root.get(name)
    except Exception as error:  # JSON's and zarr's own errors
        raise FormatError(f"The group {name!r} of {path} can't be read: {type(error).__name__}: {error}.") from error
    if not isinstance(group, zarr.Group):
        raise FormatError(f"{path} has no group {name!r}; expected data/... and meta/episode_ends.")
    return group


def _arrays(group: zarr.Group, prefix: str = "") -> list[tuple[str, zarr.Array[Any]]]:
    import zarr

    found: list[tuple[str, zarr.Array[Any]]] = []
    for name, item in sorted(group.members()):
        if isinstance(item, zarr.Group):
            found += _arrays(item, f"{prefix}{name}/")
        elif len(item.shape) > 0:
            found.append((prefix + name, item))
    return found
