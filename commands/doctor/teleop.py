"""Devices with which a person takes over: attached, and permitted to this user. Nothing is kept open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from commands.doctor.report import Finding, ok, warn
from drivers.errors import TeleopError
from drivers.teleop.input_nodes import open_node
from drivers.teleop.spacemouse_hid import HidConnection, load_hid
from drivers.teleop.spacenavd import SpacenavdConnection, find_socket
from trajectories.errors import MissingDependencyError

_FULL_SCALE = 350.0


def check_teleop() -> Iterator[Finding]:
    """Each kind of device."""
    yield _look("gamepad", lambda: _node("gamepad"))
    yield _look("spacemouse", _spacemouse)
    yield _look("keyboard", lambda: _node("keyboard"), "device=keyboard works in the terminal all the same. ")


def _look(name: str, find: Callable[[], str], comfort: str = "") -> Finding:
    try:
        return ok(name, find())
    except (TeleopError, MissingDependencyError) as error:
        return warn(name, "none that can be used", f"{comfort}{error}")


def _node(wanted: str) -> str:
    node = open_node("auto", wanted)
    try:
        return node.where
    finally:
        node.close()


def _spacemouse() -> str:
    """Through the daemon where it runs, otherwise the device itself."""
    path = find_socket()
    connection: SpacenavdConnection | HidConnection
    if Path(path).exists():
        connection = SpacenavdConnection(path, _FULL_SCALE)
    else:
        connection = HidConnection(load_hid(), _FULL_SCALE)
    try:
        return connection.where
    finally:
        connection.close()
