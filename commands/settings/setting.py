"""One setting, as lists and messages show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    list: "list",
    dict: "settings",
    type(None): "null",
}
"""Type of a value -> what a person calls it."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: As it is typed.
        default: As YAML says it.
        kind: Its type, or the values that it may have.
        meaning: One line; empty where nothing says it.
    """

    key: str
    default: str
    kind: str
    meaning: str
