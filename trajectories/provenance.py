"""Where imported episodes come from, in their metadata under `IMPORTED`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

IMPORTED: Final = "imported"
"""Holds `source` (what its store calls the data set), `episode` (its name there), `format`, `robot_type`, `fps` and
`digest` (sha256 of its columns as they were)."""


class _Described(Protocol):
    @property
    def metadata(self) -> Mapping[str, Any]: ...


def origin_of(episode: _Described) -> Mapping[str, Any] | None:
    """What an imported episode says of where it comes from; None for one that was recorded."""
    origin = episode.metadata.get(IMPORTED)
    return origin if isinstance(origin, Mapping) else None


def describe_origins(episodes: Iterable[_Described]) -> list[str]:
    """A line for every source that episodes were imported from, with their number, format and robot."""
    counts: Counter[tuple[str, ...]] = Counter()
    for episode in episodes:
        origin = origin_of(episode)
        if origin is not None:
            counts[tuple(str(origin.get(name) or "?") for name in ("source", "format", "robot_type", "fps"))] += 1
    return [
        f"Imported: {count} episodes from {source} ({form}, robot {robot}, {fps} frames per second)"
        for (source, form, robot, fps), count in sorted(counts.items())
    ]
