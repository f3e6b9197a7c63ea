"""`TeleopDevice`: the interface of every input device with which a person moves the arm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from drivers.teleop.keys import Key
from drivers.teleop.motion import Motion
from drivers.teleop.status import DeviceStatus


class TeleopDevice(Protocol):
    """A device with which a person moves the arm. No method but `start` and `close` ever waits for the device."""

    def start(self, on_key: Callable[[Key], None] | None = None) -> None:
        """Open it and read it in the background.

        Args:
            on_key: Called at once, from the device's thread, for every key that is pressed.

        Raises:
            TeleopError, MissingDependencyError: When it can't be opened; the message says what to do.
        """
        ...

    def latest(self) -> Motion:
        """What the person wants now; not active when the device is silent, lost or let go."""
        ...

    def pressed(self) -> list[Key]:
        """Session keys pressed since the last call, oldest first."""
        ...

    @property
    def status(self) -> DeviceStatus:
        """How it is doing."""
        ...

    def close(self) -> None:
        """Release it; may be called twice."""
        ...
