"""The keys with which a person runs a session, the same on every device."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from trajectories.errors import ConfigError


class Key(Enum):
    """What pressing a button means."""

    START = "start"
    STOP = "stop"
    DISCARD = "discard"
    SUCCESS = "mark success"
    FAILURE = "mark failure"
    UNDO = "undo"
    GRIPPER = "toggle gripper"
    TAKE_OVER = "take over"
    HAND_BACK = "hand back"
    HOLD = "emergency hold"


def parse_keys(mapping: Mapping[str, str], controls: frozenset[str]) -> dict[str, Key]:
    """Button name -> key, from a configuration such as {"BTN_SOUTH": "toggle gripper"}.

    Args:
        mapping: Name of a control -> value of a `Key`.
        controls: Names that the device has.

    Raises:
        ConfigError: Listing the valid names.
    """
    keys = {}
    for button, meaning in mapping.items():
        require_control(button, controls, "keys")
        try:
            keys[button] = Key(meaning)
        except ValueError:
            raise ConfigError(
                f"keys.{button} is {meaning!r}; expected one of: {', '.join(key.value for key in Key)}."
            ) from None
    return keys


def require_control(name: str, controls: frozenset[str], setting: str) -> None:
    """Refuse a control that the device doesn't have.

    Raises:
        ConfigError: Listing those that it has.
    """
    if name not in controls:
        raise ConfigError(f"{setting}: the device has no control {name!r}; it has: {', '.join(sorted(controls))}.")
