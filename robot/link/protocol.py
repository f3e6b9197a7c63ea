"""What server and client agree on: names, sizes, channel options, JSON messages, streams of pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from trajectories.errors import LinkError

SERVICE = "regrasp.link.v2.Learner"
HELLO, PUT_EPISODE, WEIGHTS, MAY_ACT, FINISHED = "Hello", "PutEpisode", "Weights", "MayAct", "Finished"
PUT_VERDICT, REPORT = "PutVerdict", "Report"

CHUNK_BYTES = 1 << 15
"""Size of a piece of a stream: at 50 kB/s one takes 0.7 s, and each that arrives shows that its sender lives.

gRPC refuses single messages over `MAX_PIECE_BYTES`."""
MAX_PIECE_BYTES = 4 << 20
MAX_STREAM_BYTES = 1 << 30
"""An episode of 40 steps with two 640x480 cameras takes 76 MB."""
MAX_WAIT_S = 2.0
"""Longest single wait inside `may_act` on the server; the client asks again for longer ones."""
SESSION_KEY = "regrasp-session"
"""Call metadata: what the server answered to hello. It shows that this server process knows this client's
name, spec and policy; it is no secret and protects nothing (the certificates of both ends do)."""
ERROR_KEY = "regrasp-error-bin"
"""Trailing metadata: the error of `robot.link.errors` as JSON."""

_COMMON_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAX_PIECE_BYTES),
    ("grpc.max_send_message_length", MAX_PIECE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),  # also TCP's: what isn't acknowledged for so long ends the connection, and
    # the next one is there a moment after the network; TCP itself would wait up to twice as long as it was away
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.bdp_probe", 0),  # 64 kB of a stream are on their way at most: a report behind them comes in time
]
SERVER_OPTIONS: list[tuple[str, int]] = [
    *_COMMON_OPTIONS,
    ("grpc.so_reuseport", 0),  # a second learner on the same port is an error, not a lottery
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    *_COMMON_OPTIONS,
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # the client retries itself, and says so
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # time for an attempt: a TLS handshake on a slow, lossy line
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


def method(name: str) -> str:
    """The full gRPC path of a method."""
    return f"/{SERVICE}/{name}"


def to_json(values: dict[str, Any]) -> bytes:
    """A question or an answer as bytes."""
    return json.dumps(values).encode()


def from_json(message: bytes, **kinds: type | tuple[type, ...]) -> list[Any]:
    """The values of the named entries, each of the given type.

    Raises:
        LinkError: When the message is not a JSON object with these entries.
    """
    try:
        values = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise LinkError(f"refused a message: expected JSON ({error})") from error
    if not isinstance(values, dict):
        raise LinkError(f"refused a message: expected a JSON object, got {type(values).__name__}")
    for name, kind in kinds.items():
        value = values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise LinkError(f"refused a message: entry {name!r} is missing or {type(value).__name__}")
    return [values[name] for name in kinds]


def split(message: bytes) -> Iterator[bytes]:
    """The message in pieces of at most `CHUNK_BYTES`."""
    for start in range(0, len(message), CHUNK_BYTES):
        yield message[start : start + CHUNK_BYTES]


def join(pieces: Iterable[bytes], limit: int = MAX_STREAM_BYTES) -> bytes:
    """Inverse of `split`.

    Raises:
        LinkError: As soon as more than `limit` bytes have come.
    """
    kept: list[bytes] = []
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise LinkError(f"refused a message of more than {limit} bytes: use smaller images or shorter episodes")
        kept.append(piece)
    return b"".join(kept)
