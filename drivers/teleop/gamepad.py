"""Gamepads through the kernel's event interface (Xbox, PlayStation and the like).

Not yet tried on hardware. Names of buttons are the kernel's (Documentation/input/gamepad.rst); the xpad driver calls
the X button of an Xbox pad BTN_NORTH and its Y button BTN_WEST.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.teleop.controls import Controls, ControlsConfig
from drivers.teleop.input_codes import ABSOLUTE, BUTTONS
from drivers.teleop.input_events import EventConnection, InputNode, Range
from drivers.teleop.input_nodes import open_node
from drivers.teleop.reader import ReaderDevice
from drivers.teleop.response import Response
from trajectories.errors import ConfigError

_HATS = ("ABS_HAT0X", "ABS_HAT0Y")
CONTROLS = frozenset(ABSOLUTE) | frozenset(BUTTONS)


def gamepad_controls() -> ControlsConfig:
    """Left stick: x and y. Right stick: z and yaw. Hat: pitch and roll. Left trigger: fine. Right trigger: close.

    For a person who stands behind the arm and looks along its x axis.
    """
    return ControlsConfig(
        axes={
            "dx": "-ABS_Y",
            "dy": "-ABS_X",
            "dz": "-ABS_RY",
            "droll": "+ABS_HAT0X",
            "dpitch": "-ABS_HAT0Y",
            "dyaw": "-ABS_RX",
        },
        keys={
            "BTN_SOUTH": "toggle gripper",
            "BTN_EAST": "emergency hold",
            "BTN_NORTH": "mark success",
            "BTN_WEST": "mark failure",
            "BTN_TL": "take over",
            "BTN_TR": "hand back",
            "BTN_START": "start",
            "BTN_SELECT": "stop",
            "BTN_MODE": "discard",
            "BTN_THUMBL": "undo",
        },
        fine="ABS_Z",
        gripper_close="ABS_RZ",
        response=Response(dead_zone=0.15, expo=1.5, coarse=0.6, fine=0.2),
    )


@dataclass(frozen=True)
class GamepadConfig:
    """Settings of a gamepad.

    Attributes:
        path: /dev/input/by-id/...-event-joystick, a named pipe, or "auto" for the first gamepad.
        controls: What sticks and buttons mean.
        triggers: Axes that rest at their smallest value (0 ... 1); the others rest in the middle (-1 ... 1).
        ranges: (smallest, largest) of axes of which the device doesn't tell it, as through a pipe.
        reconnect_s: Pause between attempts to open it again.
    """

    path: str = "auto"
    controls: ControlsConfig = field(default_factory=gamepad_controls)
    triggers: tuple[str, ...] = ("ABS_Z", "ABS_RZ", "ABS_GAS", "ABS_BRAKE")
    ranges: Mapping[str, Range] = field(default_factory=dict)
    reconnect_s: float = 0.5

    def __post_init__(self) -> None:
        """Check names and ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        object.__setattr__(self, "triggers", tuple(self.triggers))
        for name in (*self.triggers, *self.ranges):
            if name not in ABSOLUTE:
                raise ConfigError(f"gamepad: there is no axis {name!r}; expected one of {', '.join(ABSOLUTE)}.")
        for name, (low, high) in self.ranges.items():
            if not low < high:
                raise ConfigError(f"gamepad.ranges.{name} is ({low}, {high}), expected (smallest, largest).")


class AxisScale:
    """Raw values of a gamepad as deflections."""

    def __init__(self, triggers: tuple[str, ...], ranges: Mapping[str, Range]) -> None:
        self._triggers = frozenset(triggers)
        self._ranges = {name: (0, 255) if name in self._triggers else (-32768, 32767) for name in ABSOLUTE}
        self._ranges |= dict.fromkeys(_HATS, (-1, 1)) | dict(ranges)

    def __call__(self, name: str, value: int) -> float | None:
        """-1 ... 1 of an axis, 0 ... 1 of a trigger or button, None for what gamepads don't have."""
        if name in BUTTONS:
            return float(value != 0)
        if name not in self._ranges:
            return None
        low, high = self._ranges[name]
        part = min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0
        return part if name in self._triggers else 2.0 * part - 1.0


def gamepad(
    config: GamepadConfig,
    open_device: Callable[[], InputNode] | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> ReaderDevice:
    """A gamepad, not started.

    Args:
        config: Its settings.
        open_device: Opens the source of events instead of `config.path`.
        clock: Monotonic ns.

    Raises:
        ConfigError: When its controls don't exist.
    """

    def connect() -> EventConnection:
        node = open_device() if open_device is not None else open_node(config.path, "gamepad")
        return EventConnection(node, AxisScale(config.triggers, {**config.ranges, **node.ranges()}))

    controls = Controls(config.controls, CONTROLS, frozenset(BUTTONS) | frozenset(_HATS))
    return ReaderDevice("gamepad", controls, connect, reconnect_s=config.reconnect_s, clock=clock)
