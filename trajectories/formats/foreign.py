"""The types between the files of other projects and Regrasp: an episode as its file names it, a source, a sink.

    source = open_source(path)                   # trajectories.formats.registry
    for name in source.names():
        episode = source.read(name)              # images are decoded when they are asked for
        sink.write(episode)
    sink.close()                                 # now the data set is there, under its final name

Nothing is renamed and no unit is changed here: a key is what the file calls it (`observation.state`,
`obs/robot0_eef_pos`). What the keys mean is said by a mapping, `factory.doors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from trajectories.errors import RegraspError


class FormatError(RegraspError):
    """A file or folder isn't in a format that is read here, or an episode can't be written in the one asked for."""


class DamagedEpisodeError(RegraspError):
    """One episode of a source can't be read; the message says what is wrong. The others are not affected."""


class FrameSource(Protocol):
    """The frames of one camera in one episode, decoded when they are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3) for colour, (T, H, W) for depth, as stored; known without decoding all frames."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 for colour (RGB), uint16 for depth."""

    def read(
        self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Decode frames.

        Args:
            indices: Which, each in 0 ... T - 1, in ascending order, repeats allowed; None takes all.
            at_least: (height, width) that suffice to the caller. A source that decodes faster at a smaller scale may
                then give frames of 1/2, 1/4 or 1/8 of the stored size (rounded up), but never smaller than this.

        Returns:
            (N, H, W, 3) uint8 RGB or (N, H, W) uint16.

        Raises:
            DamagedEpisodeError: A frame can't be decoded.
        """


@dataclass(frozen=True)
class ArrayFrames:
    """Frames that are in memory.

    Attributes:
        array: (T, H, W, 3) uint8 RGB or (T, H, W) uint16.
    """

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """See `FrameSource.shape`."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `FrameSource.dtype`."""
        return self.array.dtype

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        """See `FrameSource.read`; always at the stored size."""
        return self.array if indices is None else self.array[np.asarray(indices, np.int64)]


@dataclass(frozen=True)
class ForeignEpisode:
    """One episode as its file has it.

    Attributes:
        name: Unique and stable within its source: a repeated import recognises the episode by it.
        fps: Frames per second; None where the source doesn't say.
        columns: Key -> (T, ...) or (T + 1, ...), in the file's own dtypes, units and conventions.
        images: Key -> frames, T or T + 1 of them.
        instructions: What the robot was asked to do, in words; several wordings of one request are allowed.
        attributes: What belongs to the episode as a whole, as plain JSON types.
    """

    name: str
    fps: float | None
    columns: Mapping[str, NDArray[Any]]
    images: Mapping[str, FrameSource] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """One column or camera of a source.

    Attributes:
        shape: Of one row: () for a number, (H, W, 3) for a colour image, (H, W) for depth.
        dtype: NumPy's name of it.
        image: Whether it is in `ForeignEpisode.images`.
        names: Of the entries, where the source names them (joints, coordinates).
    """

    shape: tuple[int, ...]
    dtype: str
    image: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """What a source says of itself.

    Attributes:
        format: Its name in the registry.
        version: Of the format, "" where it has none.
        robot_type: As the source calls the robot; None where it doesn't.
        fps: Frames per second; None where it doesn't say.
        episodes: How many there are.
        keys: Columns and cameras.
        attributes: What else matters, as plain JSON types (environment, controller).
    """

    format: str
    version: str
    robot_type: str | None
    fps: float | None
    episodes: int
    keys: Mapping[str, Key]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class ForeignSource(Protocol):
    """Episodes of one file or folder."""

    def describe(self) -> Description:
        """What the source says of itself.

        Raises:
            FormatError: It is no such source, or its parts contradict each other.
        """

    def names(self) -> Sequence[str]:
        """Names of all episodes, in the order of the source."""

    def read(self, name: str) -> ForeignEpisode:
        """One episode.

        Raises:
            DamagedEpisodeError: It can't be read; the message says what is wrong.
            FormatError: There is no episode of this name.
        """


@dataclass(frozen=True)
class SinkSettings:
    """What a sink is told before the first episode.

    Attributes:
        fps: Frames per second.
        robot_type: As the format's users call it; None leaves it out.
        lossless: Keep images bit by bit where the format has a choice.
        names: Key -> names of its entries, where they have names.
        attributes: What else the file is to say of the data, as plain JSON types (environment, controller).
    """

    fps: float
    robot_type: str | None = None
    lossless: bool = False
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class ForeignSink(ABC):
    """A data set being written. It gets its final name in `close`; one that was killed before leaves none.

    `with` closes it, and aborts when what is inside raises.
    """

    @abstractmethod
    def write(self, episode: ForeignEpisode) -> None:
        """Add an episode; keys, shapes and dtypes must be those of the first one.

        Raises:
            FormatError: The format can't hold it, or it differs from the first.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish: the data set appears under its final name, whole and on the disk.

        Raises:
            FormatError: No episode was written, or the disk refuses.
        """

    @abstractmethod
    def abort(self) -> None:
        """Remove what was written; after `close` it does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


@dataclass(frozen=True)
class Format:
    """One entry of the list of formats.

    Attributes:
        files: What a path of this format has, in words: "a folder with meta/info.json".
        detect: path -> whether it is of this format, by the names of its files; opens at most a small text file or the
            head of a file, and never raises for what isn't.
        open: path -> source; reads no more than is needed to name its episodes. FormatError for what is damaged as a
            whole, or another version. None for a format that is only written.
        create: path, settings -> a data set that will be at this path, where nothing may be yet (FormatError). None for
            a format that is only read.
    """

    files: str
    detect: Callable[[Path], bool]
    open: Callable[[Path], ForeignSource] | None = None
    create: Callable[[Path, SinkSettings], ForeignSink] | None = None
