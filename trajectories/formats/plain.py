"""What other projects' files say of an episode, as plain JSON types."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_MOST_ENTRIES = 4096
"""Of all that is kept of one thing; a picture or a demonstration inside it is left out."""


def plain(value: Any) -> Any:
    """Turn arrays, NumPy scalars, bytes and tuples into JSON's types; what doesn't fit is left out.

    Args:
        value: Mappings, lists, tuples, arrays, numbers, text, None, as deep as they go.

    Returns:
        dict, list, str, int, float, bool or None. Missing are arrays of more than 4096 entries, numbers that are not
        finite, and whatever is of another type; beyond 4096 entries in all, everything.
    """
    found = _plain(value, [_MOST_ENTRIES])
    return None if found is _LEFT_OUT else found


def plain_mapping(value: Any) -> dict[str, Any]:
    """`plain` of a mapping; {} for anything else."""
    found = plain(value)
    return found if isinstance(found, dict) else {}


def from_json(text: Any) -> Any:
    """What a JSON text in an attribute says; None if it is none."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        return plain(json.loads(text)) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


_LEFT_OUT = object()


def _plain(value: Any, budget: list[int], depth: int = 0) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > 32:
        return _LEFT_OUT
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), budget, depth) if value.size <= _MOST_ENTRIES else _LEFT_OUT
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else _LEFT_OUT
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        pairs = ((str(key), _plain(item, budget, depth + 1)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [item for item in (_plain(item, budget, depth + 1) for item in value) if item is not _LEFT_OUT]
    return _LEFT_OUT
