"""Open an input device by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.teleop.combined import CombinedDevice
from drivers.teleop.gamepad import GamepadConfig, gamepad
from drivers.teleop.interface import TeleopDevice
from drivers.teleop.keyboard import KeyboardConfig, keyboard
from drivers.teleop.keys import Key
from drivers.teleop.leader import LeaderConfig, leader
from drivers.teleop.spacemouse import SpaceMouseConfig, spacemouse
from trajectories.errors import ConfigError
from trajectories.settings import merged

SETTINGS: Mapping[str, type] = {
    "gamepad": GamepadConfig,
    "keyboard": KeyboardConfig,
    "leader": LeaderConfig,
    "spacemouse": SpaceMouseConfig,
}
"""Name of a device -> class of its settings."""
_MAKERS: Mapping[str, Callable[[Any], TeleopDevice]] = {
    "gamepad": gamepad,
    "keyboard": keyboard,
    "leader": leader,
    "spacemouse": spacemouse,
}
DEVICES = tuple(sorted(SETTINGS))


def make_device(config: Mapping[str, Any]) -> TeleopDevice:
    """A device that isn't started.

    Args:
        config: `device` names it, the other keys are its settings (`GamepadConfig`, `KeyboardConfig`, `LeaderConfig`,
            `SpaceMouseConfig`); what isn't said stays at its default, also within `controls`, except that `axes` and
            `keys` replace the default ones as a whole. `keys_from` may hold the configuration of a second device whose
            keys count, too (see `CombinedDevice`).

    Raises:
        ConfigError: On an unknown name, setting or value; the message lists the valid ones.
    """
    settings = dict(config)
    keys_from = settings.pop("keys_from", None)
    if keys_from is not None:
        return CombinedDevice(make_device(settings), make_device(keys_from))
    checked = device_settings(settings)
    return _MAKERS[settings["device"]](checked)


def device_settings(config: Mapping[str, Any]) -> Any:
    """The settings of a single device (`GamepadConfig` ...), see `make_device`.

    `takeover` says how control changes hands (`TakeoverConfig`), which isn't the device's concern.

    Raises:
        ConfigError: On an unknown name, setting or value.
    """
    settings = dict(config)
    name = settings.pop("device", None)
    settings.pop("takeover", None)
    if name not in SETTINGS:
        raise ConfigError(f"device is {name!r}, expected one of {', '.join(DEVICES)}.")
    return merged(SETTINGS[name](), settings, name)


def open_device(config: Mapping[str, Any], on_key: Callable[[Key], None] | None = None) -> TeleopDevice:
    """A device that is open and being read; see `make_device` and `TeleopDevice.start`.

    Raises:
        ConfigError: On an unknown name, setting or value.
        TeleopError: When it is missing or not permitted; the message says what to plug in or which line to run.
        MissingDependencyError: When its library is missing.
    """
    device = make_device(config)
    device.start(on_key)
    return device
