"""Episodes of an evaluation as they end, on the disk one by one: whatever ends the process, the next one goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajectories.durable import append_to_file, replace_file
from trajectories.errors import ConfigError

Key = tuple[str, str, int]
"""Direction, mode and number of an episode."""


def key_of(episode: Mapping[str, Any]) -> Key:
    """Which episode of its cell it is."""
    return str(episode["direction"]), str(episode["mode"]), int(episode["index"])


class Journal:
    """The episodes of one task under the same conditions: a line of JSON each, below a line with their conditions.

    Args:
        path: File; what a killed process left of a line is cut off.
        conditions: What the episodes hold for, plain JSON.

    Raises:
        ConfigError: The file is damaged, or of other conditions.
    """

    def __init__(self, path: Path, conditions: Mapping[str, Any]) -> None:
        self.path = path
        self.episodes: dict[Key, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes() if path.is_file() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        if not whole:
            replace_file(path, json.dumps({"conditions": dict(conditions)}).encode() + b"\n")
            return
        try:
            first, *lines = [json.loads(line) for line in whole.splitlines()]
            noted = first["conditions"]
            self.episodes = {key_of(line): line for line in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is damaged ({error!r}). Move it away, and the same command measures its episodes again."
            ) from error
        if noted != dict(conditions):
            raise ConfigError(f"{path} holds episodes under other conditions than its name says. Move it away.")
        if len(whole) < len(raw):
            replace_file(path, whole)

    def add(self, episode: Mapping[str, Any]) -> None:
        """Keep an episode; it is on the disk on return.

        Raises:
            OSError: The disk refuses; the file is as it was.
        """
        append_to_file(self.path, json.dumps(dict(episode)).encode() + b"\n")
        self.episodes[key_of(episode)] = dict(episode)
