"""Numbers for every room: units, and checks of single numbers in settings."""

from __future__ import annotations

import math

from trajectories.errors import ConfigError

NS_PER_S = 1_000_000_000
"""Nanoseconds in a second."""


def positive(what: str, value: float) -> None:
    """Refuse what is not a finite number above zero.

    Raises:
        ConfigError: Naming the setting `what`.
    """
    if not _is_number(value) or not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{what} is {value!r}, expected a finite number above 0.")


def between(what: str, value: float, low: float, high: float) -> None:
    """Refuse what is not a number from `low` to `high`, both included.

    Raises:
        ConfigError: Naming the setting `what`.
    """
    if not _is_number(value) or not low <= value <= high:  # NaN fails the comparison
        raise ConfigError(f"{what} is {value!r}, expected a number from {low:g} to {high:g}.")


def whole(what: str, value: object) -> int:
    """The value of a setting that is a whole number of at least 1.

    Raises:
        ConfigError: Naming the setting `what`, when it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{what}={value} is out of range; expected a whole number, at least 1.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
