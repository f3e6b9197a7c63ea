"""Images in HDF5 files, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError, FormatError

if TYPE_CHECKING:
    import h5py


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
        FormatError: It can't be opened.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(f"{path} can't be opened as HDF5: {error}. It may be cut short; copy it again.") from error
    with file:
        yield file


_DAMAGE = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError)
"""What h5py raises for damaged data."""


@contextmanager
def readable(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading what every episode needs, such as their names.

    Raises:
        FormatError: It can't be opened, or that part of it is damaged.
    """
    with opened(path) as file:
        try:
            yield file
        except _DAMAGE as error:
            raise FormatError(
                f"{path} is damaged: {type(error).__name__}: {error}. It may be cut short; copy it again."
            ) from error


@contextmanager
def undamaged(where: str) -> Iterator[None]:
    """Turn what h5py raises for damaged data into a `DamagedEpisodeError` that says where."""
    try:
        yield
    except _DAMAGE as error:
        raise DamagedEpisodeError(f"{where} can't be read: {type(error).__name__}: {error}.") from error


def datasets(group: h5py.Group, prefix: str = "") -> dict[str, h5py.Dataset]:
    """All datasets with rows in a group, at any depth, by their names in it ("obs/front")."""
    import h5py

    found: dict[str, h5py.Dataset] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found |= datasets(item, f"{prefix}{key}/")
        elif item.ndim > 0:
            found[prefix + key] = item
    return found


def is_image(dataset: h5py.Dataset) -> bool:
    """Whether its rows are images: uint8 (H, W, 3), or depth, uint16 (H, W) or (H, W, 1)."""
    shape = dataset.shape
    colour = dataset.dtype == np.uint8 and len(shape) == 4 and shape[3] == 3
    depth = dataset.dtype == np.uint16 and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1))
    return colour or depth


def row_shape(dataset: h5py.Dataset) -> tuple[int, ...]:
    """(H, W, 3) of colour, (H, W) of depth."""
    return tuple(dataset.shape[1:3]) if dataset.dtype == np.uint16 else tuple(dataset.shape[1:])


def rows(dataset: h5py.Dataset, indices: Sequence[int]) -> NDArray[Any]:
    """Rows of a dataset, in the order asked for, repeats allowed; h5py alone wants them ascending and once each."""
    if len(indices) == 0:
        return dataset[:0]
    wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    if len(wanted) == wanted[-1] - wanted[0] + 1:
        return dataset[int(wanted[0]) : int(wanted[-1]) + 1][places]
    return dataset[wanted][places]


@dataclass(frozen=True)
class DatasetFrames:
    """Frames that are the rows of a dataset, and of a second one after them.

    Attributes:
        path: Of the file.
        dataset: Name in it: (T, H, W, 3) uint8, or (T, H, W) or (T, H, W, 1) uint16.
        shape: (T, H, W, 3) or (T, H, W), with the frame of `after`.
        dtype: Of both.
        after: Name of a dataset whose last row is the last frame; None without one.
    """

    path: Path
    dataset: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    after: str | None = None

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        """See `FrameSource.read`; always at the stored size."""
        wanted = np.arange(self.shape[0]) if indices is None else np.asarray(indices, np.int64)
        frames = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        with opened(self.path) as file, undamaged(f"{self.path}, {self.dataset}"):
            last = self.shape[0] - 1
            inside = wanted != last if self.after is not None else np.ones(len(wanted), np.bool_)
            frames[inside] = rows(file[self.dataset], wanted[inside].tolist()).reshape(-1, *self.shape[1:])
            if self.after is not None and not inside.all():
                frames[~inside] = file[self.after][-1].reshape(self.shape[1:])
        return frames
