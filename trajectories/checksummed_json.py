"""JSON files that notice when one of their own bytes changes.

A manifest protects the other files by their digests; its own digest protects the manifest:

    {"sha256":"<64 hex digits of the content>","content":{...}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_HEAD, _MIDDLE, _TAIL = b'{"sha256":"', b'","content":', b"}\n"
_CONTENT_AT = len(_HEAD) + 64 + len(_MIDDLE)


class ChecksumError(ValueError):
    """The bytes are not what was sealed; the message says what differs."""


def dump_checksummed(content: Mapping[str, Any]) -> bytes:
    """Canonical JSON of `content` with its own digest.

    Raises:
        TypeError, ValueError: For what JSON can't hold (NaN, arrays, objects).
    """
    body = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    return _HEAD + hashlib.sha256(body).hexdigest().encode("ascii") + _MIDDLE + body + _TAIL


def load_checksummed(raw: bytes) -> dict[str, Any]:
    """Inverse of `dump_checksummed`; any byte that was flipped, cut off or added is noticed.

    Raises:
        ChecksumError: When the bytes don't match their digest.
    """
    body = raw[_CONTENT_AT : -len(_TAIL)]
    if raw != _HEAD + hashlib.sha256(body).hexdigest().encode("ascii") + _MIDDLE + body + _TAIL:
        raise ChecksumError(f"its {len(raw)} bytes don't match the sha256 that they state")
    content = json.loads(body)
    if not isinstance(content, dict):
        raise ChecksumError("its content is no JSON object")
    return content
