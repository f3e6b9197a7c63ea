"""Play a film on disk like a camera, at its frame rate and in a loop, for rehearsals without a camera."""

from __future__ import annotations

import time
from typing import Any

from trajectories.types import UInt8


class Recording:
    """An MJPG film behind the part of `cv2.VideoCapture` that `UvcSource` uses.

    Args:
        cv2: The OpenCV module.
        path: The film.
        fps: Frames per second at which it is shown.
    """

    def __init__(self, cv2: Any, path: str, fps: float) -> None:
        self._cv2, self._path, self._period_s = cv2, path, 1.0 / fps
        self._film = cv2.VideoCapture(path)
        self._due_s = time.monotonic()

    def isOpened(self) -> bool:
        """Whether OpenCV can read the film."""
        return bool(self._film.isOpened())

    def set(self, prop: int, value: float) -> bool:
        """Nothing: a film has no settings."""
        return False

    def get(self, prop: int) -> float:
        """A property of the film."""
        return float(self._film.get(prop))

    def read(self) -> tuple[bool, UInt8 | None]:
        """The next frame when it is due, BGR; after the last the first again."""
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + self._period_s, time.monotonic() - self._period_s)
        ok, image = self._film.read()
        if not ok:
            self._film.release()
            self._film = self._cv2.VideoCapture(self._path)
            ok, image = self._film.read()
        return ok, image

    def release(self) -> None:
        """Close the film."""
        self._film.release()
