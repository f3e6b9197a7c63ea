"""Checks that the settings of all cameras share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trajectories.errors import ConfigError


def positive(what: str, value: float) -> None:
    """Refuse what is not a finite number above zero.

    Raises:
        ConfigError: Naming the setting.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{what} is {value!r}, expected a number above 0.")


def pixels(what: str, value: Sequence[int], length: int = 2) -> tuple[int, ...]:
    """`value` as a tuple of `length` whole numbers that aren't negative.

    Raises:
        ConfigError: Naming the setting.
    """
    numbers = tuple(value) if isinstance(value, Sequence) else ()
    if len(numbers) != length or any(not isinstance(x, int) or isinstance(x, bool) or x < 0 for x in numbers):
        raise ConfigError(f"{what} is {value!r}, expected {length} whole numbers of pixels, height before width.")
    return numbers
