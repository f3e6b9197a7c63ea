"""Checks that the settings of all cameras share."""

from __future__ import annotations

from collections.abc import Sequence

from trajectories.errors import ConfigError


def pixels(what: str, value: Sequence[int], length: int = 2) -> tuple[int, ...]:
    """`value` as a tuple of `length` whole numbers that aren't negative.

    Raises:
        ConfigError: Naming the setting.
    """
    numbers = tuple(value) if isinstance(value, Sequence) else ()
    if len(numbers) != length or any(not isinstance(x, int) or isinstance(x, bool) or x < 0 for x in numbers):
        raise ConfigError(f"{what} is {value!r}, expected {length} whole numbers of pixels, height before width.")
    return numbers
