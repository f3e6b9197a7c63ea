"""The controls of a device in words, for the person who holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.teleop.controls import ControlsConfig
from drivers.teleop.device import device_settings
from drivers.teleop.keys import Key, parse_keys

_NAMES = {
    "BTN_SOUTH": "south button",
    "BTN_EAST": "east button",
    "BTN_NORTH": "north button",
    "BTN_WEST": "west button",
    "BTN_TL": "left shoulder",
    "BTN_TR": "right shoulder",
    "BTN_TL2": "left trigger",
    "BTN_TR2": "right trigger",
    "BTN_THUMBL": "left stick pressed",
    "BTN_THUMBR": "right stick pressed",
    "BTN_MODE": "logo",
    "ABS_Z": "left trigger",
    "ABS_RZ": "right trigger",
}
_PREFIXES = ("KEY_", "BTN_", "ABS_")
_MOTIONS = {
    "dx": "move forward / back",
    "dy": "move left / right",
    "dz": "move up / down",
    "droll": "roll + / -",
    "dpitch": "pitch + / -",
    "dyaw": "turn left / right",
}


def legend(config: Mapping[str, Any]) -> dict[Key | str, str]:
    """Meaning -> the button that has it, those of the second device (`keys_from`) included.

    Session keys come as `Key`; "open gripper", "close gripper", "hold to move" and "fine motion" in words.

    Args:
        config: As for `open_device`.

    Raises:
        ConfigError: As `make_device`.
    """
    settings = {name: value for name, value in config.items() if name != "keys_from"}
    found = _of(device_settings(settings))
    if config.get("keys_from") is not None:
        for meaning, button in legend(config["keys_from"]).items():
            if meaning in ("hold to move", "fine motion"):
                continue  # of a motion that doesn't count
            found[meaning] = f"{found[meaning]} or {button}" if meaning in found else button
    return found


def motions(config: Mapping[str, Any]) -> dict[str, str]:
    """Motion of the arm -> the two keys that drive it, for devices whose keys do; empty for sticks and leader arms.

    Args:
        config: As for `open_device`.

    Raises:
        ConfigError: As `make_device`.
    """
    settings = device_settings({name: value for name, value in config.items() if name != "keys_from"})
    controls = getattr(settings, "controls", None)
    if not isinstance(controls, ControlsConfig):
        return {}
    found: dict[str, str] = {}
    for axis, meaning in _MOTIONS.items():
        terms = sorted(controls.axes.get(axis, "").split())  # "+" before "-"
        if len(terms) == 2 and terms[0].startswith("+KEY_") and terms[1].startswith("-KEY_"):
            found[meaning] = " / ".join(control_name(term[1:]) for term in terms)
    return found


def control_name(control: str) -> str:
    """The kernel's or daemon's name of a button in words: KEY_ENTER is "enter", BUTTON_0 is "button 0"."""
    if control in _NAMES:
        return _NAMES[control]
    for prefix in _PREFIXES:
        control = control.removeprefix(prefix)
    return control.replace("_", " ").lower()


def _of(settings: Any) -> dict[Key | str, str]:
    controls = getattr(settings, "controls", None)
    if not isinstance(controls, ControlsConfig):
        return {}  # a leader arm has no buttons
    found: dict[Key | str, str] = {}
    for control, key in parse_keys(controls.keys, frozenset(controls.keys)).items():
        found[key] = f"{found[key]} or {control_name(control)}" if key in found else control_name(control)
    wishes = {
        "open gripper": controls.gripper_open,
        "close gripper": controls.gripper_close,
        "hold to move": controls.enable,
        "fine motion": controls.fine,
    }
    return found | {meaning: control_name(control) for meaning, control in wishes.items() if control is not None}
