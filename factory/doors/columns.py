"""Numbers of foreign columns as the mapping names them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from factory.doors.mapping import WHERE, Entries, Gripper, Joints, Rotation
from trajectories.errors import ConfigError
from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode
from trajectories.types import Bool, Float64

Part = Entries | Rotation | Joints | Gripper


class Columns:
    """The columns of one episode, by what the mapping says.

    Args:
        episode: The foreign episode.
        description: Of its source, for the names of entries.
    """

    def __init__(self, episode: ForeignEpisode, description: Description) -> None:
        self.episode, self._description = episode, description

    def numbers(self, part: Part, where: str, size: int | None = None) -> Float64:
        """The numbers of a part of the mapping, float64 (T, size).

        Raises:
            ConfigError: There is no such column or entry, or there are more or fewer than `size`.
            DamagedEpisodeError: Other episodes of the source have this column.
        """
        column = self._column(part.key, where)
        places = self._places(part, column.shape[1], where)
        values = column if places is None else column[:, places]
        if size is not None and values.shape[1] != size:
            raise ConfigError(
                f"{WHERE}.{where} takes {values.shape[1]} numbers of {part.key!r} where {size} are needed; set "
                f"{WHERE}.{where}.entries. {self._said(part.key)}"
            )
        return values * part.scale if isinstance(part, Entries) else values

    def opening(self, gripper: Gripper, where: str) -> Float64:
        """How far the gripper is open, from 0 (closed) to 1, float64 (T,); not clipped."""
        values = self.numbers(gripper, where)
        value = values[:, 0] if values.shape[1] == 1 else np.abs(values).sum(1)
        return (value - gripper.closed) / (gripper.open - gripper.closed)

    def commands(self, gripper: Gripper, where: str) -> Float64:
        """1 for open and -1 for closed, float64 (T,)."""
        opening = self.opening(gripper, where)
        return decided(opening >= gripper.open_above, opening <= gripper.closed_below, opening > 0.5)

    def _column(self, key: str, where: str) -> Float64:
        column = self.episode.columns.get(key)
        if column is None and key in self._description.keys:
            raise DamagedEpisodeError(f"It has no column {key!r}, which other episodes of the source have.")
        if column is None:
            raise ConfigError(
                f"The source has no column {key!r}: set {WHERE}.{where}.key, or choose another mapping (doors=...). "
                f"It has {', '.join(sorted(self.episode.columns))}."
            )
        if column.dtype.kind not in "biuf":
            raise ConfigError(f"The column {key!r} holds {column.dtype}; {WHERE}.{where} needs numbers.")
        return column.astype(np.float64).reshape(len(column), -1)

    def _places(self, part: Part, width: int, where: str) -> list[int] | None:
        if part.entries is None:
            return None
        names = self._names(part.key)
        places = []
        for entry in part.entries:
            place = names.get(entry, -1) if isinstance(entry, str) else entry
            if not 0 <= place < width:
                raise ConfigError(
                    f"{part.key!r} has no entry {entry!r} for {WHERE}.{where}.entries. {self._said(part.key)}"
                )
            places.append(place)
        return places

    def _names(self, key: str) -> Mapping[str, int]:
        described = self._description.keys.get(key)
        return {} if described is None else {name: place for place, name in enumerate(described.names)}

    def _said(self, key: str) -> str:
        names, column = self._names(key), self.episode.columns[key]
        width = int(np.prod(column.shape[1:], dtype=np.int64))
        return f"It has {width} numbers" + (f", named {', '.join(names)}." if names else ", without names.")


def decided(opened: Bool, closed: Bool, otherwise: Bool) -> NDArray[np.float64]:
    """Commands of a gripper from values that say open, closed or neither, 1 and -1, float64 (T,).

    A value between both means what the next clear one says, at the end what the last clear one said, and where
    nothing ever is clear what `otherwise` says; BridgeData's loaders fill from behind, too.
    """
    command = np.where(opened, 1.0, np.where(closed, -1.0, 0.0))
    clear = np.flatnonzero(command)
    if not len(clear):
        return np.where(otherwise, 1.0, -1.0)
    following = np.searchsorted(clear, np.arange(len(command)))
    return command[clear[np.minimum(following, len(clear) - 1)]]
