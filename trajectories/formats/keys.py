"""Keys of episodes: what a source says of them, and what a sink expects of every episode after the first."""

from __future__ import annotations

from collections.abc import Mapping

from trajectories.formats.foreign import DamagedEpisodeError, ForeignEpisode, ForeignSource, FormatError, Key


def describe_keys(episode: ForeignEpisode) -> dict[str, Key]:
    """Shape of one row and dtype of each column and camera."""
    columns = {key: Key(column.shape[1:], str(column.dtype)) for key, column in episode.columns.items()}
    images = {key: Key(f.shape[1:], str(f.dtype), image=True) for key, f in episode.images.items()}
    return {**columns, **images}


def first_keys(source: ForeignSource) -> dict[str, Key]:
    """Those of the first episode that can be read; none where all are damaged."""
    for name in source.names():
        try:
            return describe_keys(source.read(name))
        except DamagedEpisodeError:
            continue
    return {}


class SameKeys:
    """Holds every episode against the first one that was written."""

    def __init__(self) -> None:
        self._first: Mapping[str, Key] | None = None

    def check(self, episode: ForeignEpisode) -> None:
        """Remember the first; compare the others with it.

        Raises:
            FormatError: Keys are missing or new, or have other shapes or dtypes.
        """
        keys = describe_keys(episode)
        if self._first is None:
            self._first = keys
        elif keys != self._first:
            named = sorted(keys.keys() ^ self._first.keys()) or [k for k in keys if keys[k] != self._first[k]]
            raise FormatError(
                f"Episode {episode.name!r} differs from the first in {', '.join(named)}: it has "
                f"{_shown(keys, named)}, the first {_shown(self._first, named)}; expected the same keys, shapes and "
                "dtypes in all. Export the two kinds apart."
            )


def steps_of(episode: ForeignEpisode, key: str = "actions") -> int:
    """Number of steps of an episode to be written, T, by its actions.

    Raises:
        FormatError: It has no such column, no steps, a column of what isn't numbers, or a column or camera that has
            neither T nor T + 1 rows.
    """
    others = {name: str(column.dtype) for name, column in episode.columns.items() if column.dtype.kind not in "biuf"}
    if others:
        raise FormatError(f"Episode {episode.name!r} has columns {others}; only numbers are written.")
    if key not in episode.columns or len(episode.columns[key]) == 0:
        raise FormatError(f"Episode {episode.name!r} has no {key!r}; expected a column of them with at least one row.")
    steps = len(episode.columns[key])
    rows = {name: len(column) for name, column in episode.columns.items()}
    rows |= {name: frames.shape[0] for name, frames in episode.images.items()}
    wrong = {name: count for name, count in rows.items() if count not in (steps, steps + 1)}
    if wrong:
        raise FormatError(
            f"Episode {episode.name!r} has {steps} {key}, but rows {wrong}; expected {steps} or {steps + 1} everywhere."
        )
    return steps


def _shown(keys: Mapping[str, Key], named: list[str]) -> str:
    return ", ".join(f"{keys[k].dtype} {keys[k].shape}" if k in keys else "nothing" for k in named)
