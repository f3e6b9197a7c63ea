"""Virtual cameras: what the twin's renderer sees, behind the two ways in which the real drivers open a device.

A `VirtualCamera` is the plug in the twin's process: a Unix socket that sends a frame whenever the twin publishes one.
`VirtualCapture` (looks like `cv2.VideoCapture`) and `VirtualFeed` (feeds librealsense's software device) are the
other ends; they are named as a camera's `stand_in` and opened inside its own, unmodified process. The drivers never
learn of the twin, nor this file of the drivers. Faults are injected at the plug.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import numpy as np

from trajectories.errors import ConfigError
from trajectories.types import UInt8, UInt16

UVC_STAND_IN = "sim.virtual.cameras:VirtualCapture"
REALSENSE_STAND_IN = "sim.virtual.cameras:VirtualFeed"

_HELLO = struct.Struct("<III")  # height, width, 1 if depth follows colour
_HEAD = struct.Struct("<qq")  # frame number, exposure in us
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: see SO_PEERCRED in unix(7)
_EXPOSURE_US = 8000
_FRAME_WIDTH, _FRAME_HEIGHT = 3, 4  # cv2.CAP_PROP_FRAME_WIDTH, _HEIGHT; this file does without OpenCV


class Fault(Enum):
    """What a virtual camera can suffer from, besides being unplugged."""

    NONE = auto()
    FREEZE = auto()  # sends the same image for ever, frame numbers go on
    SLOW = auto()  # only one frame in ten arrives
    HANG = auto()  # stays plugged in and says nothing


@dataclass(frozen=True)
class _Sent:
    number: int
    colour: UInt8
    depth: UInt16 | None

    def to_bytes(self) -> bytes:
        depth = b"" if self.depth is None else self.depth.tobytes()
        return _HEAD.pack(self.number, _EXPOSURE_US) + self.colour.tobytes() + depth


class VirtualCamera:
    """The plug: publishes what `look` returns to whoever has opened it; one reader at a time, as with a real device.

    Attributes:
        device: Path of its socket: the `device` or `serial` of the camera's settings.
        fault: What it suffers from; set it at any time.
    """

    def __init__(
        self,
        device: Path,
        look: Callable[[], UInt8],
        look_deep: Callable[[], UInt16] | None = None,
        *,
        noise: bool = True,
        seed: int = 0,
    ) -> None:
        """Plug it in.

        Args:
            device: Where its socket goes; at most 100 characters.
            look: Returns the present view, uint8 (H, W, 3) RGB, always of one size; `publish` calls it.
            look_deep: Returns the present depth, uint16 (H, W) in mm.
            noise: Change each pixel by 0 or 1 anew in every frame. Without it a still scene looks frozen.
            seed: Of the noise.
        """
        if len(str(device)) > 100:
            raise ConfigError(f"The socket's path {device} is longer than 100 characters; choose a shorter folder.")
        self.device, self.fault = str(device), Fault.NONE
        self._look, self._look_deep, self._noise = look, look_deep, noise
        self._rng = np.random.default_rng(seed)
        self._size = look().shape[:2]
        self._number = 0
        self._last: _Sent | None = None
        self._waiting: _Sent | None = None
        self._change = threading.Condition()
        self._listener: socket.socket | None = None
        self._reader: socket.socket | None = None
        self.plug()

    @property
    def reader_pid(self) -> int | None:
        """The process that has this camera open, None while there is none."""
        reader = self._reader
        if reader is None:
            return None
        return _CREDENTIALS.unpack(reader.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]

    def publish(self) -> int:
        """Look and send; a reader that is behind misses frames. Call it from the thread that may render.

        Returns:
            The frame's number.
        """
        with self._change:
            self._number += 1
            if self.fault is Fault.FREEZE and self._last is not None:
                sent = _Sent(self._number, self._last.colour, self._last.depth)
            else:
                colour = self._look()
                if self._noise:
                    colour = colour ^ self._rng.integers(0, 2, colour.shape, dtype=np.uint8)
                sent = _Sent(self._number, colour, self._look_deep() if self._look_deep else None)
            self._last = sent
            if self.fault is not Fault.HANG and not (self.fault is Fault.SLOW and self._number % 10):
                self._waiting = sent
                self._change.notify_all()
            return self._number

    @property
    def plugged(self) -> bool:
        """Whether the device is there."""
        return self._listener is not None

    def plug(self) -> None:
        """Plug it in (again); does nothing when it is."""
        if self.plugged:
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.device)
        listener.listen(1)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the plug: the device disappears and a reader sees the end."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        Path(self.device).unlink(missing_ok=True)
        listener.shutdown(socket.SHUT_RDWR)
        with self._change:
            if self._reader is not None:
                with contextlib.suppress(OSError):  # it has gone meanwhile
                    self._reader.shutdown(socket.SHUT_RDWR)
            self._change.notify_all()
        self._thread.join()
        listener.close()

    def kill_reader(self) -> int | None:
        """`kill -9` the process that has this camera open; returns its id, None when there is none."""
        pid = self.reader_pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        """Unplug it for good."""
        self.unplug()

    def _serve(self, listener: socket.socket) -> None:
        """The plug's thread: one reader after the other."""
        while self._listener is listener:
            try:
                reader, _ = listener.accept()
            except OSError:  # unplugged
                return
            with reader, contextlib.suppress(OSError):  # it went away, or was unplugged: wait for the next one
                self._reader = reader
                reader.sendall(_HELLO.pack(*self._size, self._look_deep is not None))
                self._send(listener, reader)
            self._reader = None

    def _send(self, listener: socket.socket, reader: socket.socket) -> None:
        """Send what is published until the reader goes."""
        self._waiting = None
        while True:
            with self._change:
                while self._waiting is None and self._listener is listener:
                    self._change.wait(0.1)
                    if select.select([reader], [], [], 0)[0]:  # readers say nothing: this is its end
                        return
                sent, self._waiting = self._waiting, None
            if self._listener is not listener or sent is None:
                return
            reader.sendall(sent.to_bytes())


class _Plugged:
    """The reader's end of a plug: used inside the camera's process."""

    def __init__(self, device: str) -> None:
        """Open it.

        Raises:
            OSError: When it isn't plugged in.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(device)
            self.height, self.width, self._deep = _HELLO.unpack(self._take(_HELLO.size))
        except OSError:
            self._socket.close()
            raise

    def ready(self, timeout_s: float) -> bool:
        """Whether a frame (or the end) has arrived, after waiting for up to `timeout_s`."""
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def take(self) -> tuple[UInt8, UInt16 | None, int, int]:
        """The next frame: colour (H, W, 3) RGB, depth (H, W) mm or None, number, exposure in us. Blocks.

        Raises:
            OSError: When the camera was unplugged.
        """
        number, exposure_us = _HEAD.unpack(self._take(_HEAD.size))
        pixels = self.height * self.width
        colour = np.frombuffer(self._take(pixels * 3), np.uint8).reshape(self.height, self.width, 3)
        depth = None
        if self._deep:
            depth = np.frombuffer(self._take(pixels * 2), np.uint16).reshape(self.height, self.width)
        return colour, depth, number, exposure_us

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _take(self, count: int) -> bytearray:
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            got = self._socket.recv_into(view[have:])
            if got == 0:
                raise ConnectionError("the virtual camera was unplugged")
            have += got
        return data


class VirtualCapture:
    """A virtual camera that looks like `cv2.VideoCapture` on a V4L2 device: BGR, blocks until a frame comes."""

    def __init__(self, device: str) -> None:
        self._plugged: _Plugged | None = None
        with contextlib.suppress(OSError):
            self._plugged = _Plugged(device)

    def isOpened(self) -> bool:
        """Whether it is plugged in."""
        return self._plugged is not None

    def set(self, prop: int, value: float) -> bool:
        """Accepted and without effect: size and rate are the twin's."""
        return True

    def get(self, prop: int) -> float:
        """Height and width; 0 for everything else."""
        if self._plugged is None:
            return 0.0
        return float({_FRAME_HEIGHT: self._plugged.height, _FRAME_WIDTH: self._plugged.width}.get(prop, 0))

    def read(self) -> tuple[bool, UInt8 | None]:
        """The next frame, uint8 (H, W, 3) BGR; (False, None) once unplugged."""
        if self._plugged is None:
            return False, None
        try:
            colour = self._plugged.take()[0]
        except OSError:
            return False, None
        return True, np.ascontiguousarray(colour[..., ::-1])

    def release(self) -> None:
        """Close it."""
        if self._plugged is not None:
            self._plugged.close()
            self._plugged = None


class VirtualFeed:
    """A virtual camera that feeds librealsense's software device."""

    def __init__(self, device: str) -> None:
        """Open it.

        Raises:
            OSError: When it isn't plugged in.
        """
        self._plugged = _Plugged(device)

    def next(self, timeout_s: float) -> tuple[UInt8, UInt16 | None, int, int] | None:
        """Colour uint8 (H, W, 3) RGB, depth uint16 (H, W) in mm or None, number, exposure in us; None: none in time.

        Raises:
            OSError: When it was unplugged.
        """
        return self._plugged.take() if self._plugged.ready(timeout_s) else None

    def close(self) -> None:
        """Close it."""
        self._plugged.close()
