"""The protocol between console and clients: socket path, sizes, JSON lines, permissions.

One connection carries one request, a line of JSON, and one reply: a line of JSON and, for a frame, its bytes.

    {"ask": "state"}                      {"state": {...}}
    {"ask": "words"}                      {"words": ["clear", "hold", ...]}
    {"ask": "frame", "camera": "front"}   {"type": "image/jpeg", "bytes": 4711}, then the image
    {"say": "hold", "by": "Anna"}         {"reply": "..."}
    {"say": "clear", "by": "Anna", "faults": ["kdqx3"]}
    {"say": "not_done", "by": "Anna", "about": "last"}
    anything that went wrong              {"error": "..."}
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trajectories.errors import LinkError
from trajectories.verdicts import MOST_NAME

CONSOLE_FILE = "console.sock"
MAX_REQUEST_BYTES = 4096
MAX_REPLY_BYTES = 64 << 20
MAX_NAME = MOST_NAME
"""Longest name of a person, characters."""
_LONGEST_ADDRESS = 107  # sun_path less its terminating zero, unix(7)
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Peer(NamedTuple):
    """The process at the other end, as the kernel says."""

    pid: int
    uid: int


def console_path(run_dir: Path) -> Path:
    """Where the session of a run listens."""
    return run_dir / CONSOLE_FILE


@contextmanager
def short_address(path: Path) -> Iterator[tuple[str, int]]:
    """An address for the socket `path` that is short enough however deep its folder lies; and the open folder.

    Unix socket addresses are limited to 107 bytes, so the folder is named by its descriptor (Linux' /proc/self/fd).

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: When the folder can't be opened.
        LinkError: When the file name alone is too long.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        address = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(address)) > _LONGEST_ADDRESS:
            raise LinkError(f"A socket's file name may have about 80 characters, got {path.name!r}: shorten it.")
        yield address, folder
    finally:
        os.close(folder)


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of a connected Unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return Peer(pid, uid)


def require_same_user(connection: socket.socket) -> None:
    """Refuse a peer of another user.

    Raises:
        LinkError: With both user ids.
    """
    peer = peer_of(connection)
    if peer.uid != os.getuid():
        raise LinkError(
            f"A session talks only to processes of its own user: this end has user id {os.getuid()}, the other one "
            f"(process {peer.pid}) {peer.uid}. Run both as the same user."
        )


def to_line(values: Mapping[str, Any]) -> bytes:
    """A line of JSON. NumPy values become numbers and lists; what is not finite becomes null, as JSON has no NaN."""
    return json.dumps(_plain(values), allow_nan=False).encode() + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """Inverse of `to_line`.

    Raises:
        LinkError: For anything but a JSON object.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LinkError(f"Expected a line of JSON, got {line[:80]!r} ({error}).") from error
    if not isinstance(values, dict):
        raise LinkError(f"Expected a JSON object, got {type(values).__name__}.")
    return values


def receive(connection: socket.socket, limit: int, patience_s: float, whole: bool) -> bytes:
    """Read a line, or, when `whole`, until the other end closes.

    Raises:
        LinkError: When more than `limit` bytes come, or not all within `patience_s` in total.
        OSError: When the connection breaks before anything came.
    """
    end_s = time.monotonic() + patience_s
    got = bytearray()
    while whole or b"\n" not in got:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise LinkError(f"The other end was not done after {patience_s:g} s.")
        connection.settimeout(left_s)
        try:
            piece = connection.recv(1 << 16)
        except TimeoutError:
            continue
        except ConnectionResetError:  # it closed without reading everything that was sent to it
            if not got:
                raise
            break
        if not piece:
            break
        got += piece
        if len(got) > limit:
            raise LinkError(f"Refused a message of more than {limit} bytes.")
    return bytes(got)


def _plain(value: Any) -> Any:
    """JSON types only."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
