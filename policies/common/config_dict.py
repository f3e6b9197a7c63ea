"""Frozen dataclasses of settings to plain JSON types, and checks of their ranges; back: `trajectories.settings`."""

from __future__ import annotations

from typing import Any

from trajectories.errors import ConfigError


def require(condition: bool, what: str, expected: str) -> None:
    """Refuse a setting.

    Raises:
        ConfigError: When the condition does not hold.
    """
    if not condition:
        raise ConfigError(f"{what} is out of range; expected {expected}")


def plain(value: Any) -> Any:
    """Nested dicts and tuples (of `dataclasses.asdict`) with lists in place of tuples."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, tuple) else value
