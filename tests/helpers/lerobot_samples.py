"""Small foreign episodes as LeRobot can hold them, and sources of episodes in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trajectories.formats.foreign import ArrayFrames, Description, ForeignEpisode, Key

SIZE = (64, 80)
"""(height, width) of the frames."""


def gradient_frames(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth frames with a bright square whose place says which one it is, uint8 (count, H, W, 3)."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    base = np.stack([rows * 100 / size[0], columns * 100 / size[1], np.full(size, 40.0)], -1).astype(np.uint8)
    frames, side = np.repeat(base[None], count, 0), size[0] // 4
    for t, frame in enumerate(frames):
        left = (size[1] - side) * t // max(count - 1, 1)
        frame[side : 2 * side, left : left + side] = 220
    return frames


def flat_episode(name: str, rows: int, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> ForeignEpisode:
    """An episode as LeRobot's format can hold it: as many rows of everything."""
    columns = {
        "observation.state": rng.normal(size=(rows, 7)).astype(np.float32),
        "action": rng.normal(size=(rows, 7)).astype(np.float32),
        "next.reward": rng.normal(size=rows).astype(np.float32),
        "next.done": np.arange(rows) == rows - 1,
        "count": rng.integers(-5, 5, rows),
    }
    images = {"observation.images.front": ArrayFrames(gradient_frames(rows, size))}
    return ForeignEpisode(name, 5.0, columns, images, ("put the pot down",), {"outcome": "success", "number": 3})


@dataclass(frozen=True)
class MemorySource:
    """A `ForeignSource` of episodes in memory."""

    episodes: Mapping[str, ForeignEpisode]
    format: str = "memory"
    robot_type: str | None = "test"
    entry_names: Mapping[str, tuple[str, ...]] | None = None

    def describe(self) -> Description:
        """See `ForeignSource.describe`."""
        first = next(iter(self.episodes.values()))
        names = self.entry_names or {}
        keys = {k: Key(c.shape[1:], str(c.dtype), names=names.get(k, ())) for k, c in first.columns.items()}
        keys |= {k: Key(f.shape[1:], str(f.dtype), image=True) for k, f in first.images.items()}
        return Description(self.format, "1", self.robot_type, first.fps, len(self.episodes), keys)

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return list(self.episodes)

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`."""
        return self.episodes[name]
