"""Episodes and weights as bytes: a fixed prefix, a JSON header, a safetensors payload, one digest over both.

    prefix   8 bytes "RGRASP01", header and payload length (big-endian uint64), sha256(header + payload)
    header   JSON in UTF-8: what is in the message and everything that is not an array
    payload  safetensors (https://huggingface.co/docs/safetensors): the arrays; those of an episode in Zstandard
             (RFC 8878), which makes a twin's episode 20 times smaller in 1 ms, while weights are noise to it

Nothing in a message can run code: JSON and safetensors only hold data, and every length, name, shape and type
is checked before the values are used.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numcodecs import Zstd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from robot.link.protocol import MAX_STREAM_BYTES
from trajectories.checks import check_episode, plain_metadata
from trajectories.errors import LinkError
from trajectories.types import Direction, Episode, Outcome, RobotSpec, Weights

MAGIC = b"RGRASP01"
MAX_HEADER_BYTES = 1 << 20
_ZSTD = Zstd(level=3)
_RAW_BYTES = "raw_bytes"
_PREFIX = struct.Struct(">8sQQ32s")
_TEXTS = ("id", "task", "instruction", "direction", "outcome")
_IMAGES, _TIMES, _DEPTH = "images/", "t_ns/", "depth/"
_COLUMNS = (
    "proprio", "proposed", "executed", "rewards", "terminated", "truncated", "source", "policy_version",
    "success_probability",
)  # fmt: skip

_SMALLER = "Use smaller images or shorter episodes."

Arrays = Mapping[str, NDArray[Any]]
_T = TypeVar("_T")


def encode_episode(episode: Episode) -> bytes:
    """The message that `decode_episode` turns back into an equal episode.

    Raises:
        InvalidEpisodeError: When the metadata is not JSON.
        LinkError: When the metadata is too large.
    """
    arrays: dict[str, NDArray[Any]] = {name: getattr(episode, name) for name in _COLUMNS}
    arrays |= {_IMAGES + name: image for name, image in episode.images.items()}
    arrays |= {_TIMES + name: times for name, times in episode.t_ns.items()}
    arrays |= {_DEPTH + name: depth for name, depth in episode.depth.items()}
    header = {name: getattr(episode, name) for name in _TEXTS}
    header["metadata"] = plain_metadata(episode.metadata, f"of episode {episode.id}")
    raw = save(contiguous(arrays))
    if len(raw) > MAX_STREAM_BYTES:
        raise LinkError(f"can't send an episode of {len(raw)} bytes: at most {MAX_STREAM_BYTES} go. {_SMALLER}")
    return pack("episode", {**header, _RAW_BYTES: len(raw)}, _ZSTD.encode(raw))


def decode_episode(message: bytes, spec: RobotSpec) -> Episode:
    """Inverse of `encode_episode` for episodes of the robot `spec`.

    Raises:
        LinkError: When the message is foreign, damaged or not an episode.
        InvalidEpisodeError: When its columns contradict each other or `spec` (`check_episode`).
    """
    header, payload = unpack("episode", message)
    texts = {name: field_of(header, name, str) for name in _TEXTS}
    arrays = tensors_of(_decompressed(payload, field_of(header, _RAW_BYTES, int)))
    for name in _COLUMNS:
        if name not in arrays:
            raise LinkError(f"refused an episode: column {name} is missing")
    for name, array in arrays.items():
        if name not in _COLUMNS and not name.startswith((_IMAGES, _TIMES, _DEPTH)):
            raise LinkError(f"refused an episode: unknown column {name[:80]!r}")
        if array.ndim == 0:
            raise LinkError(f"refused an episode: column {name[:80]!r} has no rows")
    columns: dict[str, Any] = {name: arrays[name] for name in _COLUMNS}
    episode = Episode(
        id=texts["id"],
        task=texts["task"],
        instruction=texts["instruction"],
        direction=cast("Direction", texts["direction"]),
        outcome=cast("Outcome", texts["outcome"]),
        images=group_of(arrays, _IMAGES),
        t_ns=group_of(arrays, _TIMES),
        metadata=field_of(header, "metadata", dict),
        depth=group_of(arrays, _DEPTH),
        **columns,
    )
    check_episode(episode, spec)
    return episode


def weights_digest(tensors: Arrays) -> str:
    """Hex SHA-256 of the tensors' safetensors payload; it depends on names and values, not on their order."""
    return hashlib.sha256(save(contiguous(tensors))).hexdigest()


def make_weights(version: int, tensors: Arrays) -> Weights:
    """`Weights` with the digest of `tensors`."""
    return Weights(version=version, sha256=weights_digest(tensors), tensors=tensors)


def encode_weights(weights: Weights) -> bytes:
    """The message that `decode_weights` turns back into equal weights.

    Raises:
        LinkError: When `weights.sha256` is not the digest of `weights.tensors`.
    """
    payload = save(contiguous(weights.tensors))
    _check_weights_digest(weights.version, weights.sha256, payload)
    return pack("weights", {"version": weights.version, "sha256": weights.sha256}, payload)


def decode_weights(message: bytes) -> Weights:
    """Inverse of `encode_weights`.

    Raises:
        LinkError: When the message is foreign or damaged, or the digest is not the one of the tensors.
    """
    header, payload = unpack("weights", message)
    version, sha256 = field_of(header, "version", int), field_of(header, "sha256", str)
    _check_weights_digest(version, sha256, payload)
    return Weights(version=version, sha256=sha256, tensors=tensors_of(payload))


def pack(kind: str, fields: Mapping[str, Any], payload: bytes) -> bytes:
    """Prefix, header and payload in one message."""
    header = json.dumps({"kind": kind, **fields}).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise LinkError(
            f"can't send this {kind}: its metadata takes {len(header)} bytes, at most {MAX_HEADER_BYTES} go. "
            "Keep arrays in columns, not in the metadata."
        )
    digest = hashlib.sha256(header)
    digest.update(payload)
    return b"".join((_PREFIX.pack(MAGIC, len(header), len(payload), digest.digest()), header, payload))


def unpack(kind: str, message: bytes) -> tuple[dict[str, Any], bytes]:
    """Checked header and payload of a message."""
    if len(message) < _PREFIX.size or not message.startswith(MAGIC):
        raise LinkError(
            f"refused a message of {len(message)} bytes: expected {kind} data that starts with {MAGIC!r}. "
            "Run the same version of Regrasp on both sides."
        )
    _, header_bytes, payload_bytes, sent = _PREFIX.unpack_from(message)
    if header_bytes > MAX_HEADER_BYTES or _PREFIX.size + header_bytes + payload_bytes != len(message):
        raise LinkError(
            f"refused {kind} data of {len(message)} bytes: its prefix announces a header of {header_bytes} "
            f"and a payload of {payload_bytes}; it was cut short or put together wrongly. Send it again."
        )
    body = memoryview(message)[_PREFIX.size :]
    computed = hashlib.sha256(body).digest()
    if computed != sent:
        raise LinkError(
            f"refused {kind} data: it was damaged on the way (sha256 {computed.hex()[:12]}, "
            f"expected {sent.hex()[:12]}). Send it again."
        )
    try:
        header = json.loads(bytes(body[:header_bytes]))
    except (ValueError, RecursionError) as error:
        raise LinkError(f"refused {kind} data: its header is not JSON ({error})") from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise LinkError(f"refused a message: expected {kind} data, its header says otherwise")
    return header, bytes(body[header_bytes:])


def _decompressed(payload: bytes, size: int) -> bytes:
    """The `size` bytes that were compressed; nothing larger is ever allocated."""
    if not 0 < size <= MAX_STREAM_BYTES:
        raise LinkError(f"refused an episode of {size} bytes: expected 1 to {MAX_STREAM_BYTES}. {_SMALLER}")
    raw = bytearray(size)
    try:
        _ZSTD.decode(payload, out=raw)
    except (RuntimeError, ValueError) as error:
        raise LinkError(f"refused an episode: its payload is not {size} bytes in Zstandard ({error})") from error
    return bytes(raw)


def field_of(header: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    """One entry of a header, of the type that it must have."""
    value = header.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise LinkError(f"refused a message: its header's {name} must be {kind.__name__}, not {type(value).__name__}")
    return value


def tensors_of(payload: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors payload."""
    try:
        return load(payload)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LinkError(f"refused a message: its payload is not safetensors of NumPy types ({error})") from error


def contiguous(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Row-major arrays (safetensors stores plain memory); zero-dimensional ones keep their shape."""
    return {name: np.asarray(array, order="C") for name, array in arrays.items()}


def group_of(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays below `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_weights_digest(version: int, sha256: str, payload: bytes) -> None:
    computed = hashlib.sha256(payload).hexdigest()
    if computed != sha256:
        raise LinkError(
            f"refused weights of version {version}: their digest is {computed[:12]}, "
            f"they claim {sha256[:12]!r}. Publish weights made by robot.link.codec.make_weights."
        )
