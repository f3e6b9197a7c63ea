"""Dataclasses of settings from plain values (YAML, JSON), with errors that name the key."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from trajectories.errors import ConfigError

Settings = TypeVar("Settings")


def require_known(given: Collection[str], known: Collection[str], where: str) -> None:
    """Refuse keys that nothing reads.

    Args:
        given: The keys.
        known: Those that are read.
        where: What they belong to.

    Raises:
        ConfigError: Naming the unknown keys and the known ones.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(
            f"{where} has no setting {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}."
        )


def build(cls: type, raw: Mapping[str, Any], where: str, names: Mapping[str, str] | None = None) -> Any:
    """An instance of the dataclass `cls` from nested plain values, each of the type that its field is annotated with.

    A whole number may be written as a float (2e9) and a float as a whole number; nothing else is converted.

    Args:
        cls: Fields may be bool, int, float, str, `Literal`, tuples, other dataclasses, and any of them or None.
        raw: Field -> value; missing ones keep their defaults.
        where: What a person calls the whole, e.g. "agent": the field `tau` is then "agent.tau".
        names: Field -> its name for a person, where that is another.

    Raises:
        ConfigError: For an unknown key, with the known ones, or a missing one; for a value of another type, with its
            key and what was expected; and whatever `cls` refuses.
    """
    hints = {entry.name: hint for entry, hint in _fields(cls)}
    require_known(raw, hints, where)
    missing = [entry.name for entry, _ in _fields(cls) if entry.name not in raw and _is_needed(entry)]
    if missing:
        raise ConfigError(f"{where} settings lack {missing}; give {'them' if len(missing) > 1 else 'it'}")
    called = {name: f"{where}.{name}" for name in hints} | dict(names or {})
    return cls(**{name: _converted(hints[name], value, called[name]) for name, value in raw.items()})


def merged(base: Settings, raw: Mapping[str, Any], where: str) -> Settings:
    """`base` with the values of `raw`; nested settings are merged, all else is replaced.

    Args:
        base: A dataclass instance with the defaults.
        raw: Key -> value, of the types that `build` takes.
        where: What the settings belong to, for the message.

    Raises:
        ConfigError: On a key that there isn't, a value of another type, or one that is refused.
    """
    cls = typing.cast(type, type(base))
    hints = {entry.name: hint for entry, hint in _fields(cls)}
    require_known(raw, hints, where)
    values = {}
    for name, value in raw.items():
        old = getattr(base, name)
        if dataclasses.is_dataclass(old) and isinstance(value, Mapping):
            values[name] = merged(old, value, f"{where}.{name}")
        else:
            values[name] = _converted(hints[name], value, f"{where}.{name}")
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def _fields(cls: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    """The fields that a constructor takes, and their types."""
    hints = typing.get_type_hints(cls)
    return [(entry, hints[entry.name]) for entry in dataclasses.fields(cls) if entry.init]


def _is_needed(entry: dataclasses.Field[Any]) -> bool:
    return entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING


def _converted(hint: Any, value: Any, where: str) -> Any:
    """The value as a field of type `hint` takes it."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if value is None and len(options) < len(typing.get_args(hint)):
            return None
        if any(dataclasses.is_dataclass(option) and isinstance(value, typing.cast(type, option)) for option in options):
            return value
        hint = options[0]
    if dataclasses.is_dataclass(hint):
        return _instance(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple:
        return _tuple(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is typing.Literal:
        if value not in typing.get_args(hint):
            known = ", ".join(map(str, typing.get_args(hint)))
            raise ConfigError(f"{where}={value} is unknown; expected one of {known}.")
        return value
    return _single(hint, value, where)


def _instance(cls: type, value: Any, where: str) -> Any:
    if isinstance(value, cls):
        return value
    names = ", ".join(entry.name for entry, _ in _fields(cls))
    _require(isinstance(value, Mapping), value, where, f"settings by name, some of {names}")
    return build(cls, value, where)


def _tuple(entries: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    if len(entries) == 2 and entries[1] is Ellipsis:
        _require(listed, value, where, f"a list of {_word(entries[0])}s")
        entries = (entries[0],) * len(value)
    fits = listed and len(value) == len(entries)
    _require(fits, value, where, f"a list of {len(entries)}: {', '.join(map(_word, entries))}")
    pairs = zip(entries, value, strict=True)
    return tuple(_converted(entry, part, f"{where}[{i}]") for i, (entry, part) in enumerate(pairs))


def _single(hint: Any, value: Any, where: str) -> Any:
    """A bool, int, float or str; anything of another annotation as it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        _require(number and math.isfinite(value) and value == int(value), value, where, "a whole number")
        return int(value)
    if hint is float:
        _require(number and math.isfinite(value), value, where, "a finite number")
        return float(value)
    if hint in (bool, str):
        _require(isinstance(value, hint), value, where, "true or false" if hint is bool else "a text")
    return value


def _require(condition: bool, value: Any, where: str, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{where}={value!r} is of the wrong kind; expected {expected}.")


def _word(hint: Any) -> str:
    """What a person calls one entry of a list."""
    return {int: "whole number", float: "number", str: "text"}.get(hint, "value")
