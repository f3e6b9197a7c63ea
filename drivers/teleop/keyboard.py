"""The keyboard: held keys are rates. Through the kernel's event interface, or the terminal where that is barred.

The terminal only tells of key presses and their repetition, so a key counts as held for a short time after each; the
event interface tells of releases, and reads the keyboard whatever window is in front. Not yet tried on hardware.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.teleop.controls import Controls, ControlsConfig
from drivers.teleop.input_codes import KEYS
from drivers.teleop.input_events import EventConnection, InputNode
from drivers.teleop.input_nodes import open_node
from drivers.teleop.reader import ReaderDevice
from drivers.teleop.response import Response
from drivers.teleop.terminal import TerminalConnection, open_terminal
from trajectories.errors import ConfigError

TERMINAL = "terminal"
_CONTROLS = frozenset(KEYS)


def keyboard_controls() -> ControlsConfig:
    """W A S D: x and y. R F: z. Q E: yaw. Arrows: pitch and roll. Shift: fine. Space, O, P: gripper.

    For a person who sits behind the arm and looks along its x axis.
    """
    return ControlsConfig(
        axes={
            "dx": "+KEY_W -KEY_S",
            "dy": "+KEY_A -KEY_D",
            "dz": "+KEY_R -KEY_F",
            "droll": "+KEY_RIGHT -KEY_LEFT",
            "dpitch": "+KEY_UP -KEY_DOWN",
            "dyaw": "+KEY_Q -KEY_E",
        },
        keys={
            "KEY_SPACE": "toggle gripper",
            "KEY_ESC": "emergency hold",
            "KEY_T": "take over",
            "KEY_H": "hand back",
            "KEY_Y": "mark success",
            "KEY_N": "mark failure",
            "KEY_U": "undo",
            "KEY_ENTER": "start",
            "KEY_X": "stop",
            "KEY_BACKSPACE": "discard",
        },
        fine="KEY_LEFTSHIFT",
        gripper_open="KEY_O",
        gripper_close="KEY_P",
        response=Response(dead_zone=0.0, expo=0.0, coarse=0.3, fine=0.1),
    )


@dataclass(frozen=True)
class KeyboardConfig:
    """Settings of a keyboard.

    Attributes:
        path: /dev/input/by-id/...-event-kbd, a named pipe, "auto" for the first keyboard, or "terminal".
        controls: What the keys mean.
        held_s: In the terminal a key counts as held for this long after each of its characters. Shorter than the wait
            before a held key repeats, since the arm goes on for that long after a release, which no terminal tells of.
        reconnect_s: Pause between attempts to open it again.
    """

    path: str = TERMINAL
    controls: ControlsConfig = field(default_factory=keyboard_controls)
    held_s: float = 0.15
    reconnect_s: float = 0.5

    def __post_init__(self) -> None:
        """Check the times.

        Raises:
            ConfigError: Naming the setting.
        """
        if not 0.0 < self.held_s <= 1.0 or not math.isfinite(self.held_s):
            raise ConfigError(f"keyboard.held_s is {self.held_s!r}, expected seconds above 0 and up to 1.")


def key_value(name: str, value: int) -> float | None:
    """Press (1) and repetition (2) are 1, release (0) is 0; None for what keyboards don't have."""
    return float(value != 0) if name in KEYS else None


def keyboard(
    config: KeyboardConfig,
    open_device: Callable[[], InputNode] | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> ReaderDevice:
    """A keyboard, not started.

    Args:
        config: Its settings.
        open_device: Opens the source of events instead of `config.path`.
        clock: Monotonic ns.

    Raises:
        ConfigError: When its keys don't exist.
    """

    def connect() -> EventConnection | TerminalConnection:
        if open_device is None and config.path == TERMINAL:
            return open_terminal(config.held_s)
        node = open_device() if open_device is not None else open_node(config.path, "keyboard")
        return EventConnection(node, key_value)

    controls = Controls(config.controls, _CONTROLS, _CONTROLS)
    return ReaderDevice("keyboard", controls, connect, reconnect_s=config.reconnect_s, clock=clock)
