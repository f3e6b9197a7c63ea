"""Writing BridgeData V2's raw folders, as the recorder's `raw_saver.py` lays them out.

An episode's keys are those of `reader.py`: cameras `images{i}` and `depth_images{i}`, numbered from 0 without gaps,
`actions` and `policy_out/{key}` with T rows, `rewards` with T rows, every other column with T + 1 rows. Images become
JPEG files of quality 95, as the recorder's are; depth is kept exactly. Attributes without a place are noted in
`agent_data.pkl`, which no loader reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from trajectories.formats.bridge.folders import DATE_FORMAT
from trajectories.formats.bridge.plain_pickle_writer import dumps
from trajectories.formats.foreign import ForeignEpisode, ForeignSink, FormatError, FrameSource, SinkSettings
from trajectories.formats.images import encode_depth, encode_jpeg
from trajectories.formats.keys import SameKeys, steps_of
from trajectories.formats.staging import Staged

_GROUP = 1000
_BATCH = 32
_OUTPUT = "policy_out/"
_OWN = ("agent_data", "confidence", "policy_type", "date", "shifted_by_one_step", "collection_metadata")
"""Attributes of an episode that are written in a place of their own, or follow from the path."""


class BridgeSink(ForeignSink):
    """One run, at `{path}/{date}/raw/traj_group{G}/traj{N}`, a thousand trajectories a group.

    Args:
        path: Of the new folder; readers are given it as the folder above the dated one.
        settings: `attributes` become `collection_metadata.json`, the rate `move_duration` in `config.json`.

    Raises:
        FormatError: Something is at `path`.
    """

    def __init__(self, path: Path, settings: SinkSettings) -> None:
        self._staged = Staged(path)
        self._keys = SameKeys()
        self._count, self._closed = 0, False
        now = datetime.now()
        self._run = self._staged.path / now.strftime(DATE_FORMAT)
        self._config = {"agent": {"env": ["", {"move_duration": 1 / settings.fps}]}, "save_format": ["raw"]}
        self._metadata = {**settings.attributes, "date_time": now.strftime(f"_{DATE_FORMAT}")}
        if settings.robot_type is not None:
            self._metadata["robot"] = settings.robot_type

    def write(self, episode: ForeignEpisode) -> None:
        """See `ForeignSink.write`."""
        steps = steps_of(episode)
        _check(episode, steps)
        self._keys.check(episode)
        group = self._run / "raw" / f"traj_group{self._count // _GROUP}"
        folder = group / f"traj{self._count}"
        try:
            folder.mkdir(parents=True)
            for name, content in _files(episode, steps):
                (folder / name).write_bytes(content)
            for camera, frames in episode.images.items():
                _write_frames(folder / camera, frames)
        except OSError as error:
            raise FormatError(f"{folder} can't be written: {error}. Make room or check the permissions.") from error
        self._count += 1

    def close(self) -> None:
        """See `ForeignSink.close`."""
        if self._closed:
            return
        if self._count == 0:
            self.abort()
            raise FormatError(f"No episode was written to {self._staged.final}; nothing is left there.")
        for name, value in (("config.json", self._config), ("collection_metadata.json", self._metadata)):
            (self._run / name).write_text(json.dumps(value, indent=4), encoding="utf-8")
        self._closed = True
        self._staged.commit()

    def abort(self) -> None:
        """See `ForeignSink.abort`."""
        self._staged.discard()


def _check(episode: ForeignEpisode, steps: int) -> None:
    colour = sorted(key for key in episode.images if re.fullmatch(r"images\d+", key))
    depth = sorted(key for key in episode.images if re.fullmatch(r"depth_images\d+", key))
    others = sorted(episode.images.keys() - {*colour, *depth})
    numbered = {f"images{i}" for i in range(len(colour))} | {f"depth_images{i}" for i in range(len(depth))}
    if others or set(episode.images) != numbered or not colour:
        raise FormatError(
            f"Episode {episode.name!r} has the cameras {', '.join(sorted(episode.images)) or 'none'}; BridgeData's are "
            "images0, images1, ..., and depth_images0, ... for depth."
        )
    for key, frames in episode.images.items():
        if (frames.dtype == np.uint16) != key.startswith("depth"):
            raise FormatError(f"Camera {key!r} of {episode.name!r} is {frames.dtype}; depth is uint16, colour uint8.")
    rows = {key: len(column) for key, column in episode.columns.items()}
    rows |= {key: frames.shape[0] for key, frames in episode.images.items()}
    for key, count in rows.items():
        expected = steps if _is_step(key) else steps + 1
        if count != expected:
            raise FormatError(
                f"{key!r} of {episode.name!r} has {count} rows; BridgeData has {expected} of it to {steps} actions."
            )


def _is_step(key: str) -> bool:
    return key in ("actions", "rewards") or key.startswith(_OUTPUT)


def _files(episode: ForeignEpisode, steps: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of all files but images."""
    outputs = {key.removeprefix(_OUTPUT): column for key, column in episode.columns.items() if key.startswith(_OUTPUT)}
    outputs = {"actions": episode.columns["actions"], **outputs}
    policy_type = episode.attributes.get("policy_type")
    constant = {} if policy_type is None else {"policy_type": policy_type}
    taken: list[dict[str, Any]] = [
        {key: np.asarray(column[t]) for key, column in outputs.items()} | constant for t in range(steps)
    ]
    observed = {k: column for k, column in episode.columns.items() if not _is_step(k)}
    yield "obs_dict.pkl", dumps(observed)
    yield "policy_out.pkl", dumps(taken)
    others = {key: value for key, value in episode.attributes.items() if key not in _OWN}
    noted = {"traj_ok": True, "term_t": steps - 1, **episode.attributes.get("agent_data", {})}
    yield "agent_data.pkl", dumps(noted | ({"attributes": others} if others else {}))
    if "rewards" in episode.columns:
        yield "reward_data.pkl", dumps(episode.columns["rewards"])
    if episode.instructions:
        lines = [" ".join(line.split()) for line in episode.instructions]
        if any("confidence" in line for line in lines):
            raise FormatError(
                f"Episode {episode.name!r} has the instruction {lines}; loaders of BridgeData drop a line with the "
                "word confidence. Word it otherwise."
            )
        if "confidence" in episode.attributes:
            lines.append(f"confidence: {episode.attributes['confidence']}")
        yield "lang.txt", "".join(f"{line}\n" for line in lines).encode()


def _write_frames(folder: Path, frames: FrameSource) -> None:
    folder.mkdir()
    depth, count = frames.dtype == np.uint16, frames.shape[0]
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        for number, frame in zip(numbers, frames.read(numbers), strict=True):
            content = encode_depth(frame) if depth else encode_jpeg(frame)  # type: ignore[arg-type]
            (folder / f"im_{number}.{'png' if depth else 'jpg'}").write_bytes(content)
