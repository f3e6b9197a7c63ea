"""The folder `meta/` of a data set that is being written, in v3.0 and in v2.1."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trajectories.formats.foreign import SinkSettings
from trajectories.formats.lerobot.entries import ATTRIBUTES, INFO
from trajectories.formats.lerobot.features import Feature
from trajectories.formats.lerobot.reader import ATTRIBUTES_FILE
from trajectories.formats.lerobot.schema import declared_json
from trajectories.formats.lerobot.statistics import Statistics, join_statistics

if TYPE_CHECKING:
    import pyarrow as pa

DATA_V3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_V3 = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
CHUNK = 1000
"""Files (v3.0) or episodes (v2.1) in a folder."""
DATA_MB, VIDEO_MB = 100, 200
"""Sizes of files beyond which v3.0 begins another."""
_PER_FILE = 1000
"""Episodes in a file of v3.0's metadata."""


@dataclass(frozen=True)
class Written:
    """What is known of an episode once its rows and frames are written.

    Attributes:
        length: Frames.
        tasks: Its instructions; the first is that of its frames.
        statistics: Key -> statistics.
        attributes: Plain JSON.
        places: Names and values of v3.0's entries on where its parts lie; empty in v2.1.
    """

    length: int
    tasks: tuple[str, ...]
    statistics: Mapping[str, Statistics]
    attributes: Mapping[str, Any]
    places: Mapping[str, int | float]


def write_metadata(
    root: Path, v3: bool, settings: SinkSettings, features: Mapping[str, Feature], episodes: Sequence[Written]
) -> None:
    """Write everything below `meta/` but the tables and videos."""
    tasks = number_tasks(episodes)
    frames, count = sum(episode.length for episode in episodes), len(episodes)
    cameras = sum(feature.dtype == "video" for feature in features.values())
    info: dict[str, Any] = {
        "codebase_version": "v3.0" if v3 else "v2.1",
        "robot_type": settings.robot_type,
        "total_episodes": count,
        "total_frames": frames,
        "total_tasks": len(tasks),
        "chunks_size": CHUNK,
        "fps": int(settings.fps) if settings.fps == int(settings.fps) else settings.fps,
        "splits": {"train": f"0:{count}"},
        "data_path": DATA_V3 if v3 else DATA_V2,
        "video_path": (VIDEO_V3 if v3 else VIDEO_V2) if cameras else None,
        "features": declared_json(features),
    }
    if v3:
        info |= {"data_files_size_in_mb": DATA_MB, "video_files_size_in_mb": VIDEO_MB}
    else:
        info |= {"total_videos": cameras * count, "total_chunks": -(-count // CHUNK)}
    _write_json(root / INFO, info)
    if settings.attributes:
        _write_json(root / ATTRIBUTES_FILE, dict(settings.attributes))
    joined = join_statistics([episode.statistics for episode in episodes])
    _write_json(root / "meta/stats.json", _as_lists(joined))
    if v3:
        _write_v3(root, tasks, episodes)
    else:
        _write_v2(root, tasks, episodes)


def number_tasks(episodes: Sequence[Written]) -> dict[str, int]:
    """Instruction -> its number, in the order in which they first occur."""
    return {task: number for number, task in enumerate(dict.fromkeys(t for e in episodes for t in e.tasks))}


def _write_v2(root: Path, tasks: Mapping[str, int], episodes: Sequence[Written]) -> None:
    rows = [
        {"episode_index": i, "tasks": list(e.tasks), "length": e.length, ATTRIBUTES: json.dumps(dict(e.attributes))}
        for i, e in enumerate(episodes)
    ]
    _write_lines(root / "meta/episodes.jsonl", rows)
    statistics = [{"episode_index": i, "stats": _as_lists(e.statistics)} for i, e in enumerate(episodes)]
    _write_lines(root / "meta/episodes_stats.jsonl", statistics)
    _write_lines(root / "meta/tasks.jsonl", [{"task_index": n, "task": task} for task, n in tasks.items()])


def _write_v3(root: Path, tasks: Mapping[str, int], episodes: Sequence[Written]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks, pa.string())})
    pq.write_table(_with_index(table, "task"), root / "meta/tasks.parquet")
    begin = 0
    for first in range(0, len(episodes), _PER_FILE):
        part, rows = episodes[first : first + _PER_FILE], []
        place = {"chunk_index": first // _PER_FILE // CHUNK, "file_index": first // _PER_FILE % CHUNK}
        for i, episode in enumerate(part, first):
            row: dict[str, Any] = {"episode_index": i, "tasks": list(episode.tasks), "length": episode.length}
            row |= {"dataset_from_index": begin, "dataset_to_index": begin + episode.length, **episode.places}
            row |= {f"meta/episodes/{name}": number for name, number in place.items()}
            statistics = _as_lists(episode.statistics)
            row |= {f"stats/{key}/{n}": value for key, found in statistics.items() for n, value in found.items()}
            row[ATTRIBUTES] = json.dumps(dict(episode.attributes))
            rows.append(row)
            begin += episode.length
        path = root / EPISODES_V3.format(**place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)


def _with_index(table: pa.Table, index: str) -> pa.Table:
    """The table with a note for pandas, which lerobot reads it with, that a column is the index."""
    types = {name: ("unicode", "object") if name == index else ("int64", "int64") for name in table.column_names}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, (kind, numpy) in types.items()
    ]
    axis = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    note = {
        "index_columns": [index],
        "column_indexes": [axis | {"metadata": {"encoding": "UTF-8"}}],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": "21.0.0"},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(note)})


def _as_lists(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, Any]]:
    return {key: {name: value.tolist() for name, value in found.items()} for key, found in statistics.items()}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
