"""Claim an arm for one process; find the process that drives it, and ask for it.

The name is that of an abstract Unix socket, which the kernel frees when its process ends, however that ends. A process
whose session still runs refuses; one whose session has ended lets the arm go at once, holding where it is, so that a
session that was killed can be started again without waiting.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from drivers.errors import PortError
from drivers.hosting.record import device_name

_PATIENCE_S = 40.0
"""A process that folds the arm up because of a fault finishes that first."""
_AGAIN_S = 0.05
_PIECE = 4096
_CREDENTIALS = struct.Struct("3i")


class Claim:
    """The right to drive an arm.

    Args:
        port: Path of its port, or another name of what only one process may drive.

    Attributes:
        before: What the process that had the arm before said when it let go of it; empty when there was none.

    Raises:
        PortError: When a running session has it, its process doesn't answer, or it is another user's.
    """

    def __init__(self, port: str) -> None:
        self.before: Mapping[str, Any] = {}
        self._port = port
        name = _socket_name(port)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        give_up = time.monotonic() + _PATIENCE_S
        try:
            while not self._bind(name):
                self._ask(name, give_up)
                time.sleep(_AGAIN_S)
            self._socket.listen()
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Readable when somebody asks for the arm."""
        return self._socket.fileno()

    def visitor(self) -> socket.socket | None:
        """Whoever asks for the arm, to be answered with `answer`; None when it is nobody of this user."""
        visitor, _ = self._socket.accept()
        if _trusted(_peer(visitor)[1]):
            return visitor
        visitor.close()
        return None

    def release(self) -> None:
        """Let the next one have it; may be called twice."""
        self._socket.close()

    # -- inside -------------------------------------------------------------------------------------
    def _bind(self, name: bytes) -> bool:
        try:
            self._socket.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def _require_own(self, pid: int, user: int) -> None:
        """Refuse to listen to other users: any process may take the name, and say what it likes.

        Raises:
            PortError: When it is another user's, and not root's.
        """
        if not _trusted(user):
            raise PortError(
                f"The arm on {self._port} is claimed by process {pid} of another user (id {user}), which isn't "
                "listened to. Have it ended, then connect again."
            )

    def _ask(self, name: bytes, give_up: float) -> None:
        """Ask whoever has the arm for it; returns when it is worth trying again."""
        pid, said, silent = 0, b"", False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(max(give_up - time.monotonic(), _AGAIN_S))
            try:
                asking.connect(name)
                pid, user = _peer(asking)
                self._require_own(pid, user)
                while piece := asking.recv(_PIECE):
                    said += piece
            except TimeoutError:
                silent = True
            except ConnectionError:
                said = b""  # it is just beginning or ending
        if silent or (not said and time.monotonic() > give_up):
            raise PortError(
                f"The arm on {self._port} is driven by process {pid}, which doesn't answer. End it (kill -9 {pid}): "
                "the servos hold by themselves; then connect again."
            )
        if not said:
            return
        self.before = json.loads(said)
        if not self.before["lets_go"]:
            session = self.before["session"]
            raise PortError(
                f"The arm on {self._port} belongs to a running session (process {session}; the arm's own process is "
                f"{pid}). End that session first; if it hangs, kill -9 {session}: the arm holds, and can be connected "
                "at once."
            )


def _socket_name(port: str) -> bytes:
    return b"\0regrasp-arm-" + hashlib.sha256(device_name(port).encode()).hexdigest()[:32].encode()


def _trusted(user: int) -> bool:
    return user in (os.geteuid(), 0)


def answer(visitor: socket.socket, **what: Any) -> None:
    """Answer somebody who asks for the arm ("lets_go": bool; "session": pid) and hang up."""
    with visitor:
        visitor.setblocking(False)
        try:
            visitor.send(json.dumps(what).encode())
        except OSError:
            return  # they didn't wait


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(found)
    return pid, user
