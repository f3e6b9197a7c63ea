"""A folder of pictures that were labelled by hand: `frames.json` and the files that it names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trajectories.errors import ConfigError
from trajectories.types import UInt8

INDEX = "frames.json"
DONE, NOT_DONE, UNCLEAR = "done", "not_done", "unclear"
_LABELS = (DONE, NOT_DONE, UNCLEAR)


@dataclass(frozen=True)
class LabelledPicture:
    """One picture of an episode, and what a person says of it.

    Attributes:
        file: Path of the picture.
        task: Name of its task.
        instruction: In words.
        episode: Name of its episode.
        frame: Number within it; pictures of an episode are in this order.
        label: "done", "not_done" or "unclear".
        outcome: Of its episode, in words of the one who labelled; may be empty.
        camera: Name of the camera; may be empty.
    """

    file: Path
    task: str
    instruction: str
    episode: str
    frame: int
    label: str
    outcome: str = ""
    camera: str = ""

    def image(self, side: int | None = None) -> UInt8:
        """uint8 (H, W, 3), or (side, side, 3).

        Raises:
            ConfigError: When the file is no picture, or a damaged one; names it.
        """
        try:
            with Image.open(self.file) as opened:
                picture = opened.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ConfigError(
                f"{self.file} is no picture that can be read: {error}. Replace it, or take its record out of {INDEX}."
            ) from error
        if side is not None:
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        return np.array(picture)


def read_pictures(folder: Path) -> list[LabelledPicture]:
    """All labelled pictures of a folder, by task, episode and frame.

    Its `frames.json` is a list of records with file, task, instruction, episode, frame and label, perhaps outcome and
    camera; further entries are passed over.

    Raises:
        ConfigError: When the folder has no such list, or an entry is wrong, or a file is missing; names it.
    """
    index = folder / INDEX
    if not index.is_file():
        raise ConfigError(f"There is no {INDEX} in {folder}; docs/rewards.md says what it holds.")
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise ValueError("it is no list")
        found = [_picture(folder, number, entry) for number, entry in enumerate(entries)]
    except KeyError as error:
        raise ConfigError(f"A record of {index} has no {error}; docs/rewards.md says what each holds.") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{index} is no list of labelled pictures: {error}.") from error
    if not found:
        raise ConfigError(f"{index} lists no pictures; docs/rewards.md says what it holds.")
    missing = [str(one.file) for one in found if not one.file.is_file()]
    if missing:
        raise ConfigError(f"{index} names {len(missing)} files that are not there, first {missing[0]}.")
    return sorted(found, key=lambda one: (one.task, one.episode, one.frame))


def _picture(folder: Path, number: int, entry: dict[str, Any]) -> LabelledPicture:
    if entry["label"] not in _LABELS:
        raise ValueError(f"label {entry['label']!r} of record {number}, expected one of {', '.join(_LABELS)}")
    file = (folder / str(entry["file"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"file {entry['file']!r} of record {number} is outside the folder")
    return LabelledPicture(
        file,
        str(entry["task"]),
        str(entry["instruction"]),
        str(entry["episode"]),
        int(entry["frame"]),
        str(entry["label"]),
        str(entry.get("outcome", "")),
        str(entry.get("camera", "")),
    )


def by_episode(pictures: Sequence[LabelledPicture]) -> dict[str, list[LabelledPicture]]:
    """Episode -> its pictures, in their order."""
    found: dict[str, list[LabelledPicture]] = {}
    for one in pictures:
        found.setdefault(one.episode, []).append(one)
    return found
