"""Observation spaces as vectors: the one order of entries that environments and data sets share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from trajectories.errors import ConfigError


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


def require_vectors(space: spaces.Space[Any], owner: str) -> None:
    """Refuse observations that aren't a state.

    Raises:
        ConfigError: When there is text, a graph or an image among them.
    """
    for leaf in _leaves(space):
        if isinstance(leaf, spaces.Box) and leaf.dtype == np.uint8 and len(leaf.shape) >= 2:
            raise ConfigError(f"{owner} observes images {leaf}; expected a state. Choose the state-based variant.")
        if isinstance(leaf, spaces.Text) or not leaf.is_np_flattenable:
            raise ConfigError(f"{owner} observes {leaf}, which doesn't become a vector; expected numbers only.")


def _leaves(space: spaces.Space[Any]) -> Iterator[spaces.Space[Any]]:
    if isinstance(space, spaces.Dict):
        for inner in space.spaces.values():
            yield from _leaves(inner)
    elif isinstance(space, spaces.Tuple):
        for inner in space.spaces:
            yield from _leaves(inner)
    else:
        yield space
