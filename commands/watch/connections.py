"""A bounded number of connections, and a bounded time and size for every request on them."""

from __future__ import annotations

import io
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAKE_WAY_S = 1.0


class Connections:
    """At most `most` open connections. When all are taken, the oldest of those that have not shown a token makes way.

    So somebody without the token who opens connections without end doesn't keep out those who have it: they need
    their place only until their first request is read. Methods may be called from any thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[socket.socket, bool] = {}  # in order of arrival -> whether it has shown the token
        self._changed = threading.Condition()

    def enter(self, connection: socket.socket) -> bool:
        """Whether there is room for a new one."""
        with self._changed:
            if len(self._open) >= self._most:
                stranger = next((old for old, known in self._open.items() if not known), None)
                if stranger is None:
                    return False
                with suppress(OSError):
                    socket.socket.shutdown(stranger, socket.SHUT_RDWR)  # its thread wakes and ends; TLS says no goodbye
                if not self._changed.wait_for(lambda: len(self._open) < self._most, _MAKE_WAY_S):
                    return False
            self._open[connection] = False
            return True

    def admit(self, connection: socket.socket) -> None:
        """It has shown the token."""
        with self._changed:
            if connection in self._open:
                self._open[connection] = True

    def replace(self, connection: socket.socket, wrapped: socket.socket) -> None:
        """It goes on as another object (TLS)."""
        with self._changed:
            self._open[wrapped] = self._open.pop(connection)

    def leave(self, connection: socket.socket) -> None:
        """It is closed. One that is not known here, too."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()


class TooLargeError(Exception):
    """A request has more bytes than it may have."""


class RequestReader(io.RawIOBase):
    """Reads a socket within an allowance, which `allow` renews for each request. For `io.BufferedReader`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes, self._end_s = 0, 0.0

    def allow(self, size: int, seconds: float) -> None:
        """From now on at most `size` bytes and `seconds` until they have come."""
        self._bytes, self._end_s = size, time.monotonic() + seconds

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what is there, at least a byte unless the other end has closed.

        Raises:
            TimeoutError: When the time is over.
            TooLargeError: When the bytes are used up.
            OSError: When the connection breaks.
        """
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request was not complete in time")
        if self._bytes <= 0:
            raise TooLargeError
        self._connection.settimeout(left_s)
        got = self._connection.recv_into(memoryview(buffer)[: self._bytes])
        self._bytes -= got
        return got
