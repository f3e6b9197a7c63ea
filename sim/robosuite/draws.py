"""robosuite's random choices, kept apart from everybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class Draws:
    """robosuite draws from NumPy's global generator; within `taken` that one has a state of its own."""

    def __init__(self, seed: int) -> None:
        self._state: Any = _state_of(seed)

    def begin(self, seed: int) -> None:
        """Go on from a seed, 0 ... 2**32 - 1."""
        self._state = _state_of(seed)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Draw from here within; afterwards the global generator is as it was."""
        outside = np.random.get_state()  # noqa: NPY002  (robosuite's)
        np.random.set_state(self._state)  # noqa: NPY002
        try:
            yield
        finally:
            self._state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outside)  # noqa: NPY002


def _state_of(seed: int) -> Any:
    return np.random.RandomState(seed).get_state()
