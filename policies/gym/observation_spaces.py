"""Observation spaces as vectors and images: the one order of entries that environments and data sets share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from policies.gym.images import as_rgb, is_image, require_rgb
from trajectories.errors import ConfigError
from trajectories.types import UInt8

ALONE = "image"
"""Name of an image that is the whole observation."""


def alphabetical(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The same space with the keys of every Dict in it in alphabetical order, at any depth.

    A Dict made from keywords or from an OrderedDict keeps the order in which it was written, one read back from a file
    doesn't: `gymnasium.spaces.flatten` would put the same observation into two orders.
    """
    if isinstance(space, spaces.Dict):
        keys = sorted(space.spaces, key=str)
        return spaces.Dict(OrderedDict((key, alphabetical(space.spaces[key])) for key in keys))
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple(tuple(alphabetical(inner) for inner in space.spaces))
    return space


@dataclass(frozen=True)
class Part:
    """One entry of an observation, at whatever depth.

    Attributes:
        path: Keys of Dicts and places in Tuples that lead to it.
        space: Its own.
    """

    path: tuple[Any, ...]
    space: spaces.Space[Any]

    @property
    def name(self) -> str:
        """Its path as text, e.g. "images/front"; `ALONE` for an observation without parts."""
        return "/".join(str(step) for step in self.path) or ALONE

    def of(self, observation: Any) -> Any:
        """Its value in an observation, or its column in nested columns of observations."""
        for step in self.path:
            observation = observation[step]
        return observation


@dataclass(frozen=True)
class Layout:
    """What of an observation is numbers and what is images.

    Attributes:
        numbers: Parts that make up the vector, in the order of `gymnasium.spaces.flatten`, keys alphabetical.
        images: Parts that are images, in the same order.
    """

    numbers: tuple[Part, ...]
    images: tuple[Part, ...]

    @staticmethod
    def of(space: spaces.Space[Any], owner: str) -> Layout:
        """Take a space apart.

        Args:
            space: Of observations.
            owner: Whose, for messages.

        Raises:
            ConfigError: There is text or a graph in it, or an image that isn't grey or RGB.
        """
        parts = list(_parts(alphabetical(space), ()))
        images = tuple(part for part in parts if is_image(part.space))
        for part in images:
            require_rgb(part.space.shape or (), f"{owner}, {part.name}")
        numbers = tuple(part for part in parts if part not in images)
        for part in numbers:
            if isinstance(part.space, spaces.Text) or not part.space.is_np_flattenable:
                raise ConfigError(
                    f"{owner} observes {part.space}, which doesn't become a vector; expected numbers only."
                )
        return Layout(numbers, images)

    @property
    def size(self) -> int:
        """Length of the vector, F; 0 where there are images alone."""
        return sum(spaces.flatdim(part.space) for part in self.numbers)

    @property
    def cameras(self) -> dict[str, tuple[int, int]]:
        """Image -> (height, width)."""
        return {part.name: as_rgb(np.empty(part.space.shape or (), np.uint8)).shape[:2] for part in self.images}

    def vector(self, observation: Any) -> NDArray[Any]:
        """The numbers of one observation, (F,), of any float type."""
        if not self.numbers:
            return np.zeros(0, np.float32)
        flat = [np.asarray(spaces.flatten(part.space, part.of(observation))) for part in self.numbers]
        return flat[0] if len(flat) == 1 else np.concatenate(flat)

    def pictures(self, observation: Any) -> dict[str, UInt8]:
        """The images of one observation, or of columns of them, uint8 (..., H, W, 3) RGB."""
        return {part.name: as_rgb(part.of(observation), len(part.space.shape or ())) for part in self.images}


def _parts(space: spaces.Space[Any], path: tuple[Any, ...]) -> Iterator[Part]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _parts(inner, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for number, inner in enumerate(space.spaces):
            yield from _parts(inner, (*path, number))
    else:
        yield Part(path, space)


@dataclass(frozen=True)
class Seen:
    """One observation with images.

    Attributes:
        vector: float (F,).
        images: Name -> uint8 (H, W, 3).
    """

    vector: NDArray[Any]
    images: Mapping[str, UInt8]


def vector_of(observation: Any) -> Any:
    """The numbers of an observation of `policies.gym.environment.make_env`, with or without images, (F,)."""
    return observation.vector if isinstance(observation, Seen) else observation


class Frames:
    """Collects the images of an episode, observation by observation."""

    def __init__(self, first: Any) -> None:
        """Begin with the observation of the reset."""
        self._images: dict[str, list[UInt8]] = {}
        self.append(first)

    def append(self, observation: Any) -> None:
        """Add one more observation's images, if it has any."""
        if isinstance(observation, Seen):
            for name, image in observation.images.items():
                self._images.setdefault(name, []).append(image)

    def stacked(self) -> dict[str, UInt8]:
        """Name -> uint8 (N, H, W, 3)."""
        return {name: np.stack(images) for name, images in self._images.items()}
