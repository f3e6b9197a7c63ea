"""The errors of input devices."""

from __future__ import annotations

from trajectories.errors import DeviceError


class TeleopError(DeviceError):
    """An input device is missing, not permitted or answers wrongly; the message says which and what to do."""


class TeleopLostError(TeleopError):
    """An open input device went away (unplugged, daemon stopped); it is opened again in the background."""
