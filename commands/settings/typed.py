"""The settings that a dataclass is built from: the default, the type and the meaning of each field."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from commands.settings.setting import WORDS, Setting

FREE = "settings by names of one's own"
"""Kind of a setting whose keys a person chooses."""


def settings_of(cls: type, prefix: str, defaults: object = None) -> Iterator[Setting]:
    """The fields of a dataclass, and of those inside it, in their order.

    Args:
        cls: The dataclass.
        prefix: In front of the names of its fields, with the dot.
        defaults: An instance whose values are the defaults; None for those of the fields.
    """
    hints, meanings = typing.get_type_hints(cls), _attributes(cls)
    for entry in fields(cls):
        hint, key = hints[entry.name], f"{prefix}{entry.name}"
        value = _default(entry) if defaults is None else getattr(defaults, entry.name)
        shown = "?" if value is MISSING else json.dumps(value, default=str).strip('"')
        yield Setting(key, shown, _word(hint), meanings.get(entry.name, ""))
        for part in (hint, *typing.get_args(hint)):
            if is_dataclass(part):
                inside = typing.cast(type, part)
                yield from settings_of(inside, f"{key}.", value if isinstance(value, inside) else None)


def _default(entry: Field[Any]) -> Any:
    """The default of a field, MISSING where it has none."""
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _attributes(cls: type) -> dict[str, str]:
    """Meanings of the attributes that the docstrings of a class and of its bases describe, in the words of YAML."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        text = (one.__doc__ or "").partition("Attributes:\n")[2]
        for name, meaning in re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", text, re.MULTILINE):
            found[name] = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))
    return found


def _word(hint: Any) -> str:
    """What a person calls the values of a type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(map(str, parts))
    if origin is tuple or hint is tuple:
        return "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return FREE
    if parts:
        return " or ".join(_word(part) for part in parts)
    return WORDS.get(hint, WORDS[dict])
