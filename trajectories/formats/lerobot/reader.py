"""Reading a LeRobotDataset from a local folder.

Columns are those of its tables under their own names, without the numbers of rows and episodes; cameras are lazy,
whether they are videos or image columns. All have T rows: the format holds no observation after the last action.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode, FormatError, FrameSource
from trajectories.formats.lerobot.entries import V2, V3, Entry, read_entries, read_info, read_tasks, version_of
from trajectories.formats.lerobot.features import BOOKKEEPING
from trajectories.formats.lerobot.images import ColumnFrames
from trajectories.formats.lerobot.tables import Tables, column_array
from trajectories.formats.lerobot.video import VideoFrames

if TYPE_CHECKING:
    import pyarrow as pa

ATTRIBUTES_FILE = "meta/attributes.json"


def is_lerobot_v3(path: Path) -> bool:
    """Whether this is a folder of LeRobotDataset v3.0."""
    return version_of(path) in V3


def is_lerobot_v2(path: Path) -> bool:
    """Whether this is a folder of LeRobotDataset v2.1 or v2.0."""
    return version_of(path) in V2


class LeRobotSource:
    """Episodes of one data set; the name of number 12 is `episode_000012`.

    Args:
        root: Of the data set.

    Raises:
        FormatError: Its metadata are missing or damaged.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._info = root, read_info(root)
        self._entries = {f"episode_{entry.index:06d}": entry for entry in read_entries(root, self._info)}
        self._tasks = read_tasks(root, self._info)
        columns = [key for key, feature in self._info.features.items() if feature.dtype != "video"]
        self._tables = Tables(root, columns)

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return list(self._entries)

    def describe(self) -> Description:
        """See `ForeignSource.describe`."""
        info = self._info
        keys = {key: feature.key for key, feature in info.features.items() if key not in BOOKKEEPING}
        format_name = "lerobot_v3" if info.version in V3 else "lerobot_v2"
        attributes = {"tasks": list(self._tasks.values()), **self._written_attributes()}
        return Description(format_name, info.version, info.robot_type, info.fps, len(self._entries), keys, attributes)

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`."""
        entry = self._entries.get(name)
        if entry is None:
            raise FormatError(f"{self._root} has no episode {name!r}; it has {', '.join(list(self._entries)[:3])}, ...")
        rows = self._tables.rows(entry.data, entry.first_row, entry.length)
        table = self._root / entry.data
        columns = {}
        for key, feature in self._info.features.items():
            if not feature.is_image:
                if key not in rows.column_names:
                    raise DamagedEpisodeError(f"{table} lacks the column {key!r} that info.json declares.")
                columns[key] = column_array(rows[key], feature.shape, f"{key} in {table}")
        self._check_place(entry, columns["episode_index"], table)
        tasks = self._instructions(entry, columns["task_index"])
        kept = {key: column for key, column in columns.items() if key not in BOOKKEEPING}
        return ForeignEpisode(name, self._info.fps, kept, self._frames(entry, rows), tasks, entry.attributes)

    @staticmethod
    def _check_place(entry: Entry, numbers: np.ndarray, table: Path) -> None:
        if not (numbers == entry.index).all():
            raise DamagedEpisodeError(
                f"Rows {entry.first_row} to {entry.first_row + entry.length - 1} of {table} are of episodes "
                f"{sorted(set(numbers.tolist()))}; expected number {entry.index} there."
            )

    def _frames(self, entry: Entry, rows: pa.Table) -> dict[str, FrameSource]:
        import pyarrow.compute as pc

        frames: dict[str, FrameSource] = {}
        for key, feature in self._info.features.items():
            if feature.dtype == "video":
                path, start = entry.videos[key]
                depth = feature.info if feature.depth else None
                place = self._root / path
                if not place.is_file():
                    raise DamagedEpisodeError(f"The video {place} is missing.")
                frames[key] = VideoFrames(place, start, self._info.fps, entry.length, feature.size, depth)
            elif feature.dtype == "image":
                contents = pc.struct_field(rows[key], "bytes")
                if contents.null_count:
                    raise DamagedEpisodeError(
                        f"{key} in {self._root / entry.data} has {contents.null_count} rows without an image in them."
                    )
                frames[key] = ColumnFrames(contents, feature.size, feature.depth, f"{key} in {self._root / entry.data}")
        return frames

    def _instructions(self, entry: Entry, numbers: np.ndarray) -> tuple[str, ...]:
        """That of the first frame first, then those of the others in their order, then what the metadata add."""
        used = [self._tasks.get(int(number)) for number in dict.fromkeys(numbers.tolist())]
        if None in used:
            raise DamagedEpisodeError(f"Episode {entry.index} of {self._root} has a task that isn't among its tasks.")
        return tuple(task for task in dict.fromkeys([*used, *entry.tasks]) if task)

    def _written_attributes(self) -> dict[str, object]:
        path = self._root / ATTRIBUTES_FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
