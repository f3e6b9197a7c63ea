"""Input devices of the kernel: found, opened, or refused with what to do about it."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drivers.errors import TeleopError
from drivers.teleop.input_codes import ABSOLUTE, ABSOLUTE_NAMES, BUTTONS, EV_ABS, EV_KEY, KEY_NAMES, KEYS
from drivers.teleop.input_events import InputNode, PipeNode, Range
from trajectories.errors import MissingDependencyError

INPUT_FOLDER = Path("/dev/input")
PERMISSION = (
    "Either join the group (`sudo usermod -aG input $USER`, then log in again), or let whoever sits at the machine use "
    'it: write KERNEL=="event*", SUBSYSTEM=="input", TAG+="uaccess" to /etc/udev/rules.d/70-regrasp-input.rules, '
    "run `sudo udevadm control --reload && sudo udevadm trigger`, and plug it in again."
)


def load_evdev() -> Any:
    """The evdev module.

    Raises:
        MissingDependencyError: When it is not installed.
    """
    try:
        return importlib.import_module("evdev")
    except ImportError as error:
        raise MissingDependencyError(
            f"Gamepads and keyboards below /dev/input need evdev, which does not load ({error}); "
            "run `pip install evdev` (Linux only)."
        ) from error


class EvdevNode:
    """An `InputNode` on an open `evdev.InputDevice`."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self.where = f"{device.name} ({device.path})"

    def fileno(self) -> int:
        """Its descriptor."""
        return self._device.fd

    def ranges(self) -> Mapping[str, Range]:
        """Read the ranges of the axes from the kernel's absinfo."""
        found = {}
        for code, info in self._device.capabilities(absinfo=True).get(EV_ABS, []):
            if code in ABSOLUTE_NAMES:
                found[ABSOLUTE_NAMES[code]] = (info.min, info.max)
        return found

    def state(self) -> Mapping[str, int]:
        """From the kernel: values of the axes, 1 for the buttons that are held."""
        axes = {name: self._device.absinfo(ABSOLUTE[name]).value for name in self.ranges()}
        return axes | {KEY_NAMES[code]: 1 for code in self._device.active_keys() if code in KEY_NAMES}

    def close(self) -> None:
        """Release it."""
        self._device.close()


def open_node(path: str, wanted: str) -> InputNode:
    """Open an input device, or a named pipe in its place.

    Args:
        path: Below /dev/input (by-id names stay the same), a named pipe, or "auto" for the first of that kind.
        wanted: "gamepad" or "keyboard".

    Raises:
        TeleopError: When it is missing, not permitted or something else.
        MissingDependencyError: When evdev is missing.
    """
    if path == "auto":
        return _first(wanted)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise TeleopError(f"There is no device {path}; {_attached()}.") from None
    except PermissionError:
        raise TeleopError(f"{path} may not be used by this user. {PERMISSION}") from None
    except OSError as error:
        raise TeleopError(f"{path} can't be opened ({error.strerror}); {_attached()}.") from None
    if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
        raise TeleopError(f"{path} is no input device; expected a path below {INPUT_FOLDER}, or a named pipe.")
    try:
        if stat.S_ISFIFO(mode):
            return PipeNode(os.open(path, os.O_RDONLY | os.O_NONBLOCK), path)
        return EvdevNode(load_evdev().InputDevice(path))
    except PermissionError:
        raise TeleopError(f"{path} may not be read by this user. {PERMISSION}") from None
    except OSError as error:
        raise TeleopError(f"{path} can't be opened ({error.strerror}); is it an input device?") from error


def _first(wanted: str) -> InputNode:
    nodes = sorted(INPUT_FOLDER.glob("event*"), key=lambda node: (len(node.name), node.name))
    barred = [node for node in nodes if not os.access(node, os.R_OK)]
    open_to_us = [str(node) for node in nodes if node not in barred]
    if open_to_us:
        evdev = load_evdev()
        for path in open_to_us:
            try:
                device = evdev.InputDevice(path)
            except OSError:  # unplugged a moment ago
                continue
            if wanted in kinds(device.capabilities(absinfo=False)):
                return EvdevNode(device)
            device.close()
    if barred:
        raise TeleopError(
            f"No {wanted} among the input devices that this user may read, and {len(barred)} may not be read "
            f"({barred[0]}, ...). {PERMISSION}"
        )
    raise TeleopError(f"There is no {wanted}: {_attached()}. Plug one in, or give its path.")


def kinds(capabilities: Mapping[int, Iterable[int]]) -> set[str]:
    """What a device with these capabilities (event type -> codes) can serve as: "gamepad", "keyboard"."""
    keys, axes = set(capabilities.get(EV_KEY, ())), set(capabilities.get(EV_ABS, ()))
    found = set()
    if BUTTONS["BTN_SOUTH"] in keys and {ABSOLUTE["ABS_X"], ABSOLUTE["ABS_Y"]} <= axes:
        found.add("gamepad")
    if {KEYS["KEY_ENTER"], KEYS["KEY_A"], KEYS["KEY_Z"]} <= keys:
        found.add("keyboard")
    return found


def _attached() -> str:
    by_id = INPUT_FOLDER / "by-id"
    there = sorted(str(path) for path in by_id.glob("*")) if by_id.is_dir() else []
    return f"attached are: {', '.join(there) or 'none'}"
