"""Requests from other processes: one line of JSON each, one line back, on a Unix socket. Data only, no code.

{"do": "success", "direction": "forward"}  ->  {"ok": true, "success": false}
{"do": "dance"}                            ->  {"ok": false, "error": "There is no 'dance'; there are ..."}
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from trajectories.errors import ConfigError, RegraspError

LONGEST_PATH = 100
LONGEST_LINE = 1 << 20

Handler = Callable[..., dict[str, Any]]
Answer = TypeVar("Answer")


class ControlServer:
    """Answers requests from the thread that calls `serve`.

    Args:
        path: Where the socket appears; only this user can open it.
        handlers: Name of a request -> function of its other entries; returns the answer's.

    Raises:
        ConfigError: When the path is too long or somebody answers there already.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        if len(str(path)) > LONGEST_PATH:
            raise ConfigError(
                f"The socket's path {path} is longer than {LONGEST_PATH} characters; choose a shorter one."
            )
        self._path, self._handlers = path, dict(handlers)
        self._lines: dict[socket.socket, bytes] = {}
        self._remove_dead()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o077)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(mask)
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def at_end_of(self, fd: int, call: Callable[[], None]) -> None:
        """Call back once what `fd` reads from has ended."""

        def read(_: Any) -> None:
            if not os.read(fd, 4096):
                self._selector.unregister(fd)
                call()

        self._selector.register(fd, selectors.EVENT_READ, read)

    def serve(self, timeout_s: float) -> None:
        """Answer what has arrived, after waiting for it for up to `timeout_s`."""
        for key, _ in self._selector.select(max(timeout_s, 0.0)):
            key.data(key.fileobj)

    def close(self) -> None:
        """Remove the socket."""
        for connection in list(self._lines):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _remove_dead(self) -> None:
        """Remove a socket that a killed process left behind."""
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with probe, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            probe.connect(str(self._path))
            raise ConfigError(f"Another process answers at {self._path} already; end it or choose another folder.")
        self._path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._lines[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ, self._read)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(LONGEST_LINE)
            *lines, rest = (self._lines[connection] + data).split(b"\n")
            self._lines[connection] = rest
            if not data or len(rest) > LONGEST_LINE:
                self._drop(connection)
                return
            for line in lines:
                connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")
        except OSError:  # it went away
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._lines[connection]
        connection.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._handle(line)}
        except RegraspError as error:
            return {"ok": False, "error": str(error)}

    def _handle(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            name = request.pop("do")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise ConfigError(f"A request is an object with an entry 'do' on one line, got {line[:200]!r}.") from None
        return call_by_name(self._handlers, name, request)


def call_by_name(functions: Mapping[str, Callable[..., Answer]], name: object, values: Mapping[str, Any]) -> Answer:
    """Call the function of that name with keyword arguments that came from outside.

    Raises:
        ConfigError: When there is no such function or it takes other arguments.
    """
    function = functions.get(name) if isinstance(name, str) else None
    if function is None:
        raise ConfigError(f"There is no {name!r}; there are {', '.join(functions)}.")
    signature = inspect.signature(function)
    try:
        signature.bind(**values)
    except TypeError as error:
        raise ConfigError(f"{name!r} takes ({', '.join(signature.parameters)}): {error}.") from None
    return function(**values)
