"""`FlatEpisode` and `FlatDataset`: whole episodes of vectors and images, whatever file they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trajectories.flat.errors import DatasetError
from trajectories.types import Bool, Float32, UInt8


@dataclass(frozen=True)
class FlatEpisode:
    """One episode of T steps.

    Attributes:
        observations: float32 (T + 1, F); F may be 0 where there are images.
        actions: float32 (T, A), in the environment's own units.
        rewards: float32 (T,), as the environment gave them.
        terminated: Whether the last step ended the task. When not, the episode was cut there (time was up, or the
            recording stopped), and what would have followed still counts.
        images: Name -> uint8 (T + 1, H, W, 3).
    """

    observations: Float32
    actions: Float32
    rewards: Float32
    terminated: bool
    images: Mapping[str, UInt8] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    @staticmethod
    def of(
        seen: Sequence[ArrayLike],
        actions: Sequence[ArrayLike],
        rewards: Sequence[SupportsFloat],
        over: bool,
        images: Mapping[str, UInt8] | None = None,
    ) -> FlatEpisode:
        """From what was collected step by step: T + 1 observations and images, T actions and rewards, `terminated`."""
        taken = np.asarray(actions, np.float32)
        given = np.array([float(reward) for reward in rewards], np.float32)
        return FlatEpisode(np.asarray(seen, np.float32), taken, given, over, images or {})


@dataclass(frozen=True)
class FlatDataset:
    """Episodes with the same sizes.

    Attributes:
        episodes: At least one.
        source: Where they come from, for messages.
        dropped: Transitions of the source that were left out because it doesn't hold what they led to.
        stand_ins: Terminated episodes whose last observation isn't in the source; the one before stands in for it. No
            value is ever bootstrapped from it.
    """

    episodes: tuple[FlatEpisode, ...]
    source: str
    dropped: int = 0
    stand_ins: int = 0

    def __post_init__(self) -> None:
        if not self.episodes:
            raise DatasetError(f"{self.source} holds no whole transition; expected at least one.")
        for number, episode in enumerate(self.episodes):
            where = f"{self.source}, episode {number}"
            _check(episode, self.sizes, where)
            _check_images(episode, self.cameras, where)

    @property
    def sizes(self) -> tuple[int, int]:
        """(F, A)."""
        first = self.episodes[0]
        return first.observations.shape[-1], first.actions.shape[-1]

    @property
    def cameras(self) -> dict[str, tuple[int, int]]:
        """Image -> (height, width)."""
        return {name: (frames.shape[1], frames.shape[2]) for name, frames in self.episodes[0].images.items()}

    @property
    def transitions(self) -> int:
        """Steps of all episodes."""
        return sum(len(episode) for episode in self.episodes)

    @property
    def digest(self) -> str:
        """Hex sha256 of everything in the episodes, in order: the same data give the same in any file format."""
        total = hashlib.sha256(repr(self.sizes).encode())
        for episode in self.episodes:
            total.update(f"{len(episode)} {episode.terminated}".encode())
            for column in (episode.observations, episode.actions, episode.rewards):
                total.update(np.ascontiguousarray(column).tobytes())
            for name in sorted(episode.images):
                total.update(name.encode())
                total.update(np.ascontiguousarray(episode.images[name]).data)
        return total.hexdigest()

    def describe(self) -> str:
        """A line for a person."""
        ended = sum(episode.terminated for episode in self.episodes)
        text = f"{self.transitions:,} transitions in {len(self.episodes):,} episodes, {ended:,} of them terminated"
        if self.dropped:
            text += f"; {self.dropped:,} transitions left out: the file doesn't hold what they led to"
        return text


def _check(episode: FlatEpisode, sizes: tuple[int, int], where: str) -> None:
    steps = len(episode.actions)
    expected = {
        "observations": (steps + 1, sizes[0]),
        "actions": (steps, sizes[1]),
        "rewards": (steps,),
    }
    for name, shape in expected.items():
        column = getattr(episode, name)
        if column.shape != shape or steps < 1:
            raise DatasetError(
                f"{where}: {name} have shape {column.shape}; expected {shape} with at least one step. "
                "All episodes of a data set need the same sizes, and one observation more than actions."
            )
        if column.dtype != np.float32:
            raise DatasetError(f"{where}: {name} are {column.dtype}; expected float32.")


def _check_images(episode: FlatEpisode, cameras: Mapping[str, tuple[int, int]], where: str) -> None:
    expected = {name: (len(episode) + 1, *size, 3) for name, size in cameras.items()}
    found = {name: frames.shape for name, frames in episode.images.items()}
    wrong = [name for name, frames in episode.images.items() if frames.dtype != np.uint8]
    if found != expected or wrong:
        raise DatasetError(
            f"{where}: images have shapes {found}; expected {expected}, of bytes. All episodes of a data set need the "
            "same images in the same sizes, one more of each than actions."
        )


def require_finite(columns: Iterable[tuple[str, Float32]], where: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        DatasetError: Naming the column and the first row with one.
    """
    for name, column in columns:
        bad = np.flatnonzero(~np.isfinite(column.reshape(len(column), -1)).all(1))
        if len(bad):
            raise DatasetError(
                f"{where}: {name} hold NaN or infinity in {len(bad)} of {len(column)} rows, first in row {bad[0]}; "
                "only finite numbers can be learned from. Remove the episodes that hold them."
            )


def flags(column: NDArray[Any], name: str, where: str) -> Bool:
    """Marks of steps, whatever type of number they are stored as, as bool of the same shape.

    Args:
        column: Of zeros and ones.
        name: Of the column, for messages.
        where: For messages.

    Raises:
        DatasetError: A mark is neither 0 nor 1, for example NaN.
    """
    if column.dtype.kind not in "biuf":
        raise DatasetError(f"{where}: {name} hold {column.dtype}; expected true and false, or 0 and 1.")
    bad = np.flatnonzero((column != 0) & (column != 1))
    if len(bad):
        raise DatasetError(
            f"{where}: {name} hold {column.ravel()[bad[0]]} in row {bad[0]} ({len(bad)} of {column.size} rows are "
            "neither 0 nor 1), which doesn't say whether the step was the last; expected 0 or 1. Mend the column."
        )
    return column != 0
