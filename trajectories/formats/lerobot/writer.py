"""Writing a LeRobotDataset v3.0 or v2.1 that lerobot's own `LeRobotDataset` opens.

An episode has one row a frame: all its columns and cameras have the same number of rows. Colour becomes videos as
lerobot records them (AV1, yuv420p, a key frame every other frame), or image columns of PNG, bit by bit, where the
settings ask for `lossless`; depth always is an image column of 16-bit TIFF.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError

from trajectories.formats.foreign import ForeignEpisode, ForeignSink, FormatError, SinkSettings
from trajectories.formats.lerobot import metadata
from trajectories.formats.lerobot.features import BOOKKEEPING, TIMESTAMP, Feature
from trajectories.formats.lerobot.schema import declare, episode_table
from trajectories.formats.lerobot.statistics import camera_statistics, column_statistics
from trajectories.formats.lerobot.video import VideoWriter, video_info
from trajectories.formats.staging import Staged

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH = 64
_MB = 1024**2
_FULL = "Make room or check the permissions."


class LeRobotSink(ForeignSink):
    """A data set being written.

    Args:
        path: Of its folder.
        settings: See `SinkSettings`; `attributes` go to `meta/attributes.json`, which lerobot doesn't read.
        v3: v3.0, else v2.1.

    Raises:
        FormatError: Something is at `path`.
    """

    def __init__(self, path: Path, settings: SinkSettings, v3: bool) -> None:
        self._staged, self._settings, self._v3 = Staged(path), settings, v3
        self._features: dict[str, Feature] = {}
        self._episodes: list[metadata.Written] = []
        self._frames = 0
        self._tasks: dict[str, int] = {}
        self._table: pq.ParquetWriter | None = None
        self._table_number = -1
        self._videos: dict[str, VideoWriter] = {}
        self._video_numbers: dict[str, int] = {}

    def write(self, episode: ForeignEpisode) -> None:
        """See `ForeignSink.write`."""
        features = declare(episode, self._settings.names, not self._settings.lossless)
        if self._features and features != self._features:
            named = sorted(
                k for k in features.keys() | self._features.keys() if features.get(k) != self._features.get(k)
            )
            raise FormatError(
                f"Episode {episode.name!r} differs from the first in {', '.join(named)}; export them apart."
            )
        length = _length(episode)
        tasks = tuple(dict.fromkeys(episode.instructions)) or ("",)
        for task in tasks:
            self._tasks.setdefault(task, len(self._tasks))
        self._features = features
        try:
            places = self._write_rows(episode, length, self._tasks[tasks[0]]) | self._write_videos(episode)
        except (OSError, FFmpegError) as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. {_FULL}") from error
        self._episodes.append(
            metadata.Written(length, tasks, self._statistics(episode, length), episode.attributes, places)
        )
        self._frames += length

    def close(self) -> None:
        """See `ForeignSink.close`."""
        if not self._episodes:
            self.abort()
            raise FormatError(f"No episode was written to {self._staged.final}; nothing is left there.")
        try:
            self._finish_files()
            for key, feature in self._features.items():
                if feature.dtype == "video":
                    info = video_info(self._staged.path / self._video_path(key, 0), self._settings.fps)
                    self._features[key] = replace(feature, info=info)
            metadata.write_metadata(self._staged.path, self._v3, self._settings, self._features, self._episodes)
        except (OSError, FFmpegError) as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. {_FULL}") from error
        self._staged.commit()

    def abort(self) -> None:
        """See `ForeignSink.abort`."""
        self._finish_files()
        self._staged.discard()

    def _write_rows(self, episode: ForeignEpisode, length: int, task: int) -> dict[str, int | float]:
        import pyarrow.parquet as pq

        number = len(self._episodes)
        own = {
            TIMESTAMP: np.arange(length, dtype=np.float64) / self._settings.fps,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(self._frames, self._frames + length),
            "task_index": np.full(length, task),
        }
        table = episode_table(episode, self._features, own)
        path = self._staged.path / self._data_path(max(self._table_number, 0))
        if self._table is None or not self._v3 or path.stat().st_size >= metadata.DATA_MB * _MB:
            if self._table is not None:
                self._table.close()
            self._table_number += 1
            path = self._staged.path / self._data_path(self._table_number)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = pq.ParquetWriter(path, table.schema, compression="snappy", use_dictionary=True)
        self._table.write_table(table)
        return _place("data", self._table_number) if self._v3 else {}

    def _write_videos(self, episode: ForeignEpisode) -> dict[str, int | float]:
        places: dict[str, int | float] = {}
        for key, feature in self._features.items():
            if feature.dtype != "video":
                continue
            writer = self._video(key, feature)
            begin = writer.count / self._settings.fps
            frames = episode.images[key]
            for first in range(0, frames.shape[0], _BATCH):
                part = range(first, min(first + _BATCH, frames.shape[0]))
                writer.write(frames.read(part))  # type: ignore[arg-type]
            if self._v3:
                places |= _place(f"videos/{key}", self._video_numbers[key])
                places[f"videos/{key}/from_timestamp"] = begin
                places[f"videos/{key}/to_timestamp"] = writer.count / self._settings.fps
        return places

    def _video(self, key: str, feature: Feature) -> VideoWriter:
        """The video that the next episode of a camera goes to: v3.0 joins episodes, v2.1 has one each."""
        writer = self._videos.get(key)
        if writer is not None and self._v3 and writer.size_bytes < metadata.VIDEO_MB * _MB:
            return writer
        if writer is not None:
            writer.close()
        self._video_numbers[key] = self._video_numbers.get(key, -1) + 1
        path = self._staged.path / self._video_path(key, self._video_numbers[key])
        self._videos[key] = VideoWriter(path, self._settings.fps, feature.size)
        return self._videos[key]

    def _statistics(self, episode: ForeignEpisode, length: int) -> dict[str, metadata.Statistics]:
        found = {key: camera_statistics(frames, self._v3, not self._v3) for key, frames in episode.images.items()}
        columns = {key: episode.columns[key] for key in episode.columns if key not in (*BOOKKEEPING, TIMESTAMP)}
        first, number = self._frames, len(self._episodes)
        columns |= {
            TIMESTAMP: np.arange(length) / self._settings.fps,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(first, first + length),
            "task_index": np.full(length, self._tasks[(*dict.fromkeys(episode.instructions), "")[0]]),
        }
        return found | {key: column_statistics(column, self._v3) for key, column in columns.items()}

    def _finish_files(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None
        for writer in self._videos.values():
            writer.close()
        self._videos = {}

    def _data_path(self, number: int) -> str:
        if self._v3:
            return metadata.DATA_V3.format(chunk_index=number // metadata.CHUNK, file_index=number % metadata.CHUNK)
        return metadata.DATA_V2.format(episode_chunk=number // metadata.CHUNK, episode_index=number)

    def _video_path(self, key: str, number: int) -> str:
        chunk, file = divmod(number, metadata.CHUNK)
        if self._v3:
            return metadata.VIDEO_V3.format(video_key=key, chunk_index=chunk, file_index=file)
        return metadata.VIDEO_V2.format(video_key=key, episode_chunk=chunk, episode_index=number)


def create_v3(path: Path, settings: SinkSettings) -> LeRobotSink:
    """Begin a LeRobotDataset v3.0."""
    return LeRobotSink(path, settings, v3=True)


def create_v2(path: Path, settings: SinkSettings) -> LeRobotSink:
    """Begin a LeRobotDataset v2.1."""
    return LeRobotSink(path, settings, v3=False)


def _place(prefix: str, number: int) -> dict[str, int | float]:
    chunk, file = divmod(number, metadata.CHUNK)
    return {f"{prefix}/chunk_index": chunk, f"{prefix}/file_index": file}


def _length(episode: ForeignEpisode) -> int:
    lengths = {key: len(column) for key, column in episode.columns.items()}
    lengths |= {key: frames.shape[0] for key, frames in episode.images.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise FormatError(
            f"Episode {episode.name!r} has rows {lengths}; LeRobot's tables have one row a frame, as many in all "
            "columns "
            "and cameras."
        )
    return next(iter(lengths.values()))
