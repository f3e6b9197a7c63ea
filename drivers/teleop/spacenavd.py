"""The socket of spacenavd, the free daemon for 3Dconnexion devices.

Events of 32 bytes, 8 int32 in the machine's order: type (0 motion, 1 press, 2 release, 3 device), then x, y, z, rx, ry,
rz, period, or the button's number, or operation (0 added, 1 removed) and id. Protocol 1 adds the device events; one
word asks for it, which an older daemon takes for a sensitivity that is no number (FreeSpacenav/libspnav `src/spnav.c`,
`src/proto.h`; FreeSpacenav/spacenavd `src/proto_unix.c`). Not yet tried with a real daemon.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

from drivers.errors import TeleopError, TeleopLostError
from drivers.teleop.controls import Report

SOCKETS = ("/run/spnav.sock", "/var/run/spnav.sock")
EVENT = struct.Struct("=8i")
REQUEST_PROTOCOL_1 = 0x7FAA5501
SPACE_AXES = ("x", "y", "z", "rx", "ry", "rz")
"""x right, y up, z away from the person; turns about them as the daemon sends them by default."""
SPACE_BUTTONS = tuple(f"BUTTON_{number}" for number in range(32))

_TAG = 0x7FAA
_WORD = struct.Struct("=i")
_ANSWER_S = 0.4
_MOTION, _PRESS, _RELEASE, _DEVICE, _UNKNOWN = 0, 1, 2, 3, 7
_REMOVED = 1
_LARGEST = 32_767  # beyond that a sensitivity that is no number was at work
_UNPLUGGED = "the daemon runs but the SpaceMouse was unplugged; plug it in again."


class SpacenavdConnection:
    """A `Connection` on the daemon's socket.

    Args:
        path: Of the socket.
        full_scale: Value of a fully deflected axis.

    Raises:
        TeleopError: When the daemon can't be reached.
    """

    def __init__(self, path: str, full_scale: float) -> None:
        self.where = f"spacenavd at {path}"
        self.trouble: str | None = None
        self._full_scale = full_scale
        self._buffer = b""
        self._waiting: list[Report] = []
        self._socket = _connect(path)
        self._answered = False
        self._answer_by = time.monotonic() + _ANSWER_S
        self._send(_WORD.pack(REQUEST_PROTOCOL_1))

    def read(self, timeout_s: float) -> Report | None:
        """The next motion or button, or None.

        Raises:
            TeleopLostError: When the daemon stopped or sends nonsense.
        """
        if self._waiting:
            return self._waiting.pop(0)
        if not self._answered and time.monotonic() > self._answer_by:
            self._answered = True  # an old daemon: its sensitivity is no number now, set it right
            self._send(struct.pack("=f", 1.0))
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(64 * EVENT.size)
        except TimeoutError:
            return None
        except OSError as error:
            raise TeleopLostError(f"{self.where} broke off ({error.strerror}).") from error
        if not data:
            raise TeleopLostError(f"{self.where} stopped; start it: sudo systemctl start spacenavd.")
        self._buffer += data
        self._parse()
        return self._waiting.pop(0) if self._waiting else None

    def close(self) -> None:
        """Leave the daemon."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            self.close()
            raise TeleopLostError(f"{self.where} broke off ({error.strerror}).") from error

    def _parse(self) -> None:
        """Take whole messages from the buffer. The daemon's answer is one word with the tag, all else 32 bytes."""
        while len(self._buffer) >= _WORD.size:
            (first,) = _WORD.unpack_from(self._buffer)
            if first >> 16 == _TAG:
                self._answered = True
                self._buffer = self._buffer[_WORD.size :]
            elif not 0 <= first < _UNKNOWN:
                raise TeleopLostError(f"{self.where} sent an event of type {first}, expected 0 to {_UNKNOWN - 1}.")
            elif len(self._buffer) < EVENT.size:
                return
            else:
                self._event(EVENT.unpack_from(self._buffer))
                self._buffer = self._buffer[EVENT.size :]

    def _event(self, words: tuple[int, ...]) -> None:
        kind, values = words[0], words[1:]
        if kind == _MOTION and max(map(abs, values[:6])) <= _LARGEST:
            self.trouble = None
            self._waiting.append([(a, v / self._full_scale) for a, v in zip(SPACE_AXES, values, strict=False)])
        elif kind in (_PRESS, _RELEASE) and 0 <= values[0] < len(SPACE_BUTTONS):
            self._waiting.append([(SPACE_BUTTONS[values[0]], float(kind == _PRESS))])
        elif kind == _DEVICE:
            self.trouble = _UNPLUGGED if values[0] == _REMOVED else None


def _connect(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(1.0)
        client.connect(path)
    except PermissionError:
        client.close()
        raise TeleopError(
            f"{path} may not be used by this user: run `sudo chmod a+rw {path}`, or start spacenavd the way its "
            "package does (sudo systemctl start spacenavd)."
        ) from None
    except OSError as error:
        client.close()
        raise TeleopError(
            f"spacenavd can't be reached at {path} ({error.strerror or error}): install and start it with `sudo "
            "apt-get install spacenavd && sudo systemctl start spacenavd`, or set backend: hid."
        ) from error
    return client


def find_socket() -> str:
    """Where the daemon listens: SPNAV_SOCKET, else the usual places."""
    wanted = os.environ.get("SPNAV_SOCKET")
    return wanted or next((path for path in SOCKETS if Path(path).exists()), SOCKETS[-1])
