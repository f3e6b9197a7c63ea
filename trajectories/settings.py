"""Dataclasses of settings from plain mappings (YAML), with errors that name the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from trajectories.errors import ConfigError

Settings = TypeVar("Settings")


def merged(base: Settings, raw: Mapping[str, Any], where: str) -> Settings:
    """`base` with the values of `raw`; nested settings are merged, all else is replaced.

    Args:
        base: A dataclass instance with the defaults.
        raw: Key -> value.
        where: What the settings belong to, for the message.

    Raises:
        ConfigError: On a key that there isn't, or a value that is refused.
    """
    names = {field.name for field in fields(base)}  # type: ignore[arg-type]
    unknown = sorted(set(raw) - names)
    if unknown:
        raise ConfigError(f"{where} has no setting {unknown[0]!r}; there are {', '.join(sorted(names))}.")
    values = {}
    for name, value in raw.items():
        old = getattr(base, name)
        if is_dataclass(old) and not isinstance(value, type(old)):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}.{name} is {value!r}, expected settings ({', '.join(_names(old))}).")
            value = merged(old, value, f"{where}.{name}")
        values[name] = value
    try:
        return replace(base, **values)  # type: ignore[type-var]
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: a value has the wrong kind ({error}); got {dict(raw)!r}.") from error


def _names(settings: Any) -> list[str]:
    return sorted(field.name for field in fields(settings))
