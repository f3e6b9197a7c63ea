"""The process of one camera."""

from __future__ import annotations

from drivers.cameras.config import CameraConfig
from drivers.cameras.ring import FrameRing
from drivers.child_process import ChildProcess


class CameraProcess(ChildProcess):
    """A process that runs `drivers.cameras.child`; it never outlives the thread that made it."""

    def __init__(self, config: CameraConfig, ring: FrameRing) -> None:
        """Start it; `ring` must be the owner's."""
        task = {"camera": config.to_dict(), "ring_fd": ring.owner_fd}
        super().__init__("the camera's process", "drivers.cameras.child", task, ring.owner_fd)
