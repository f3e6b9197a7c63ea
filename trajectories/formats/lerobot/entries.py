"""Where the parts of each episode lie: `meta/` of LeRobotDataset v3.0, and of v2.1 and v2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trajectories.formats.foreign import FormatError
from trajectories.formats.lerobot.features import Feature, read_features

V3 = ("v3.0",)
V2 = ("v2.1", "v2.0")
INFO = "meta/info.json"
ATTRIBUTES = "attributes"
"""Column of an episode's metadata with JSON text, in data sets that Regrasp wrote."""
_KNOWN = {"episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index", ATTRIBUTES}


@dataclass(frozen=True)
class Info:
    """`meta/info.json`.

    Attributes:
        version: Of the format, "v3.0".
        fps: Frames per second.
        robot_type: As recorded; None where it wasn't.
        features: Columns and cameras.
        data_path: Template of a table's path.
        video_path: Template of a video's path, None without videos.
        chunks_size: Episodes (v2) or files (v3) a folder.
    """

    version: str
    fps: float
    robot_type: str | None
    features: Mapping[str, Feature]
    data_path: str
    video_path: str | None
    chunks_size: int


@dataclass(frozen=True)
class Entry:
    """One episode.

    Attributes:
        index: Its number.
        length: Frames.
        tasks: Instructions that occur in it.
        data: Its table, relative to the root.
        first_row: Of its rows in that table.
        videos: Camera -> video, relative to the root, and the time in it at which the episode begins, s.
        attributes: What else is written down, as plain JSON types.
    """

    index: int
    length: int
    tasks: tuple[str, ...]
    data: str
    first_row: int
    videos: Mapping[str, tuple[str, float]]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def version_of(root: Path) -> str | None:
    """The `codebase_version` that a folder states; None for what is no LeRobotDataset."""
    try:
        version = json.loads((root / INFO).read_text(encoding="utf-8")).get("codebase_version")
    except (OSError, ValueError, AttributeError):
        return None
    return version if isinstance(version, str) else None


def read_info(root: Path) -> Info:
    """`meta/info.json` of a data set.

    Raises:
        FormatError: It is missing, damaged, or of a version that isn't read here.
    """
    path = root / INFO
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version, fps = str(raw["codebase_version"]), float(raw["fps"])
        data_path, video_path = str(raw["data_path"]), raw.get("video_path")
        chunks_size, robot = int(raw.get("chunks_size", 1000)), raw.get("robot_type")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} can't be read as LeRobot's info.json: {error!r}.") from error
    if version not in V3 + V2:
        raise FormatError(
            f"{path} is of version {version}; {', '.join(V3 + V2)} are read here. Convert it with lerobot's scripts."
        )
    if not fps > 0 or chunks_size < 1:
        raise FormatError(f"{path} has fps {fps} and chunks_size {chunks_size}; expected numbers above 0.")
    features = read_features(raw.get("features"), str(path))
    robot = robot if isinstance(robot, str) and robot not in ("", "unknown") else None
    return Info(version, fps, robot, features, data_path, video_path, chunks_size)


def read_entries(root: Path, info: Info) -> list[Entry]:
    """All episodes, in order.

    Raises:
        FormatError: The metadata of episodes is missing or damaged.
    """
    read = _entries_v3 if info.version in V3 else _entries_v2
    try:
        return sorted(read(root, info), key=lambda entry: entry.index)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(
            f"The episodes of {root} can't be read from its folder meta: {type(error).__name__}: {error}."
        ) from error


def _entries_v3(root: Path, info: Info) -> list[Entry]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    files = sorted((root / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise FormatError(f"{root / 'meta/episodes'} holds no *.parquet; expected the episodes of a LeRobotDataset.")
    for file in files:
        names = [name for name in pq.read_schema(file).names if not name.startswith("stats/")]
        rows += pq.read_table(file, columns=names).to_pylist()
    starts: dict[str, int] = {}
    for row in rows:
        row["data"] = _path(info.data_path, row["data/chunk_index"], row["data/file_index"])
        first = int(row["dataset_from_index"])
        starts[row["data"]] = min(first, starts.get(row["data"], first))
    return [_entry_v3(row, info, starts[row.pop("data")]) for row in rows]


def _entry_v3(row: Mapping[str, Any], info: Info, file_start: int) -> Entry:
    videos = {}
    for key, feature in info.features.items():
        if feature.dtype == "video":
            place = (row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"])
            video = _path(str(info.video_path), *place, video_key=key)
            videos[key] = (video, float(row[f"videos/{key}/from_timestamp"]))
    others = {key: value for key, value in row.items() if "/" not in key and key not in _KNOWN}
    data = _path(info.data_path, row["data/chunk_index"], row["data/file_index"])
    first, length = int(row["dataset_from_index"]), int(row["length"])
    tasks = tuple(map(str, row["tasks"]))
    return Entry(int(row["episode_index"]), length, tasks, data, first - file_start, videos, _attributes(row, others))


def _entries_v2(root: Path, info: Info) -> list[Entry]:
    entries = []
    for row in read_json_lines(root / "meta/episodes.jsonl"):
        index = int(row["episode_index"])
        place = {"episode_chunk": index // info.chunks_size, "episode_index": index}
        cameras = [key for key, feature in info.features.items() if feature.dtype == "video"]
        videos = {key: (str(info.video_path).format(**place, video_key=key), 0.0) for key in cameras}
        others = {key: value for key, value in row.items() if key not in _KNOWN}
        tasks, data = tuple(map(str, row["tasks"])), info.data_path.format(**place)
        entries.append(Entry(index, int(row["length"]), tasks, data, 0, videos, _attributes(row, others)))
    return entries


def read_tasks(root: Path, info: Info) -> dict[int, str]:
    """Number of a task -> its words.

    Raises:
        FormatError: They can't be read.
    """
    try:
        if info.version in V2:
            return {int(row["task_index"]): str(row["task"]) for row in read_json_lines(root / "meta/tasks.jsonl")}
        import pyarrow.parquet as pq

        rows = pq.read_table(root / "meta/tasks.parquet").to_pylist()
        return {int(row["task_index"]): str(row.get("task", row.get("__index_level_0__"))) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"The tasks of {root} can't be read from its folder meta: {error!r}.") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line.

    Raises:
        ValueError: A line is none.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} has a line that is no object")
    return rows


def _path(template: str, chunk: Any, file: Any, **more: str) -> str:
    return template.format(chunk_index=int(chunk), file_index=int(file), **more)


def _attributes(row: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """What Regrasp wrote down as JSON, and other entries that are plain."""
    text = row.get(ATTRIBUTES)
    written = json.loads(text) if isinstance(text, str) else {}
    plain = {key: value for key, value in others.items() if isinstance(value, str | int | float | bool)}
    return plain | (written if isinstance(written, dict) else {})
