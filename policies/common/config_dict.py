"""Frozen dataclasses of settings to plain JSON types and back, and their checks."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
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


def build(cls: type, raw: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `cls` from nested plain values.

    Raises:
        ConfigError: For an unknown key, with the known ones.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(raw) - set(hints)
    if unknown:
        raise ConfigError(f"unknown {where} settings {sorted(unknown)}; known are {sorted(hints)}")
    return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in raw.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        return None
    kind = next(option for option in options if option is not type(None))
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, where)
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return float(value) if kind is float else value
