"""`Gaps`: what some of the stores that a policy learns from lack, and how its networks are told.

A missing entry of the proprioception is NaN (`trajectories.alignment`) and enters a network as 0, after scaling: a
linear layer then gets nothing of it, and no gradient for its weights. Since 0 is also the mean of those that are known,
a flag beside it says that it is missing: 1 where it is, 0 where it isn't. The target robot has everything, so that its
flags are always 0 and the policy acts on it as if there were none. Without gaps there are no flags. What no store has
is no gap: a policy never learns of it, and its scaling makes it 0 on the robot, too (`ProprioScaling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trajectories.alignment import EpisodeSource, missing_of
from trajectories.errors import ConfigError
from trajectories.types import Float32, RobotSpec


@dataclass(frozen=True)
class Gaps:
    """What some episodes lack, with a flag for each group of things that are always missing together.

    Attributes:
        proprio: Groups of entries of the proprioception.
        cameras: Cameras, each a group.
    """

    proprio: tuple[tuple[str, ...], ...] = ()
    cameras: tuple[str, ...] = ()

    @classmethod
    def of(cls, sources: Iterable[EpisodeSource], cameras: Iterable[str]) -> Gaps:
        """The gaps of several stores.

        Args:
            sources: All stores to learn from, of one target.
            cameras: Those that the policy looks through; others may be missing.

        Raises:
            ConfigError: No store has one of these cameras.
        """
        lacks = [missing_of(source) for source in sources]
        patterns: dict[tuple[bool, ...], list[str]] = {}
        for name in dict.fromkeys(name for missing in lacks for name in missing.proprio):
            lacking = tuple(name in missing.proprio for missing in lacks)
            if not all(lacking):
                patterns.setdefault(lacking, []).append(name)
        unseen = [name for name in cameras if lacks and all(name in missing.cameras for missing in lacks)]
        if unseen:
            raise ConfigError(
                f"No episode to learn from has the policy's camera {', '.join(unseen)}. Say which camera of the data "
                f"takes its place: data_roles=[{{{unseen[0]}:image_0}}], or let the policy look through another."
            )
        blind = tuple(name for name in cameras if any(name in missing.cameras for missing in lacks))
        return cls(tuple(tuple(names) for names in patterns.values()), blind)

    @property
    def size(self) -> int:
        """G, number of flags."""
        return len(self.proprio) + len(self.cameras)

    def __bool__(self) -> bool:
        """Whether anything is ever missing."""
        return self.size > 0

    def column_of(self, camera: str, proprio_size: int) -> int:
        """Where the flag of a camera is in what `beside` gives, for proprioception of so many entries."""
        return proprio_size + len(self.proprio) + self.cameras.index(camera)

    def flags(self, proprio: Float32, images: Mapping[str, object], spec: RobotSpec) -> Float32:
        """float32 (N, G), 1 where something is missing.

        Args:
            proprio: float32 (N, P) as measured, NaN where it wasn't.
            images: Of the cameras that there are.
            spec: The robot.
        """
        parts = [np.isnan(proprio[:, spec.proprio.index(group[0])]) for group in self.proprio]
        parts += [np.full(len(proprio), name not in images) for name in self.cameras]
        return np.stack(parts, axis=1).astype(np.float32)

    def beside(self, scaled: Float32, proprio: Float32, images: Mapping[str, object], spec: RobotSpec) -> Float32:
        """What a network is given: float32 (N, F + G), 0 for what is missing, and the flags.

        Args:
            scaled: float32 (N, F) made from `proprio`; NaN where that was missing.
            proprio: See `flags`, as are the rest.
            images: See `flags`.
            spec: See `flags`.
        """
        if not self:
            return scaled
        return np.concatenate(
            [np.where(np.isnan(scaled), np.float32(0), scaled), self.flags(proprio, images, spec)], axis=1
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"proprio": [list(group) for group in self.proprio], "cameras": list(self.cameras)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Gaps:
        """Inverse of `to_dict`."""
        return cls(tuple(tuple(group) for group in raw["proprio"]), tuple(raw["cameras"]))


NO_GAPS = Gaps()
"""Of one store, or of several of one robot."""
