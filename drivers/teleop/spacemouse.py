"""3Dconnexion SpaceMouse: six axes in one hand. Not yet tried on hardware."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers.teleop.controls import Controls, ControlsConfig
from drivers.teleop.reader import Connection, ReaderDevice
from drivers.teleop.response import Response
from drivers.teleop.spacemouse_hid import HidConnection, load_hid
from drivers.teleop.spacenavd import SPACE_AXES, SPACE_BUTTONS, SpacenavdConnection, find_socket
from trajectories.errors import ConfigError

BACKENDS = ("spacenavd", "hid")


def spacemouse_controls() -> ControlsConfig:
    """Push the cap where the gripper shall go; left button: gripper, right button: success.

    For a person who sits behind the arm and looks along its x axis; the signs are those of ROS
    (ros-drivers/joystick_drivers `spacenav_node/src/spacenav_node.cpp`).
    """
    return ControlsConfig(
        axes={"dx": "+z", "dy": "-x", "dz": "+y", "droll": "+rz", "dpitch": "-rx", "dyaw": "+ry"},
        keys={"BUTTON_0": "toggle gripper", "BUTTON_1": "mark success"},
        response=Response(dead_zone=0.12, expo=1.5, coarse=0.6, fine=0.2),
        stale_s=0.5,
    )


@dataclass(frozen=True)
class SpaceMouseConfig:
    """Settings of a SpaceMouse.

    Attributes:
        backend: "spacenavd" (the daemon's socket) or "hid" (the device itself, needs the package hidapi).
        socket: Of the daemon; "auto" for SPNAV_SOCKET or the usual place.
        controls: What axes and buttons mean. A cap that is held still at its stop may send nothing: if the arm halts
            then, set repeat-interval = 100 in /etc/spnavrc rather than `stale_s` to null.
        full_scale: Value of a fully deflected axis (350 on the models known, at the daemon's sensitivity 1).
        reconnect_s: Pause between attempts to open it again.
    """

    backend: Literal["spacenavd", "hid"] = "spacenavd"
    socket: str = "auto"
    controls: ControlsConfig = field(default_factory=spacemouse_controls)
    full_scale: float = 350.0
    reconnect_s: float = 0.5

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: Naming the setting.
        """
        if self.backend not in BACKENDS:
            raise ConfigError(f"spacemouse.backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}.")
        if not 1.0 <= self.full_scale <= 10_000.0:
            raise ConfigError(f"spacemouse.full_scale is {self.full_scale!r}, expected 1 to 10,000.")


def spacemouse(config: SpaceMouseConfig, hid: Any = None, clock: Callable[[], int] = time.monotonic_ns) -> ReaderDevice:
    """A SpaceMouse, not started.

    Args:
        config: Its settings.
        hid: The hid module; None loads it when it is needed.
        clock: Monotonic ns.

    Raises:
        ConfigError: When its controls don't exist.
    """

    def connect() -> Connection:
        if config.backend == "hid":
            return HidConnection(load_hid() if hid is None else hid, config.full_scale)
        return SpacenavdConnection(find_socket() if config.socket == "auto" else config.socket, config.full_scale)

    controls = Controls(config.controls, frozenset(SPACE_AXES + SPACE_BUTTONS), frozenset(SPACE_BUTTONS))
    return ReaderDevice("spacemouse", controls, connect, reconnect_s=config.reconnect_s, clock=clock)
