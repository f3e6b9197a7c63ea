"""`CameraError`, the error of all cameras."""

from __future__ import annotations

from trajectories.errors import DeviceError


class CameraError(DeviceError):
    """A camera is missing, refuses its settings or stopped delivering; the message says which and what to do."""
