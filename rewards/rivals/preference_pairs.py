"""Pairs of frames of which one shows a goal better reached: drawn from known outcomes and progress, or from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rewards.rivals.scorer import Lessons
from trajectories.errors import ConfigError
from trajectories.text_file import lines_of
from trajectories.types import Int64

BETTER = ("first", "second", "same")


@dataclass(frozen=True)
class LabelledPair:
    """Two frames under one instruction, and which of them shows it better done; a line of a file of pairs.

    Attributes:
        episodes: Ids of the two episodes, which have the same task and direction.
        frames: Index of the frame in each, 0 ... T.
        better: "first", "second" or "same".
    """

    episodes: tuple[str, str]
    frames: tuple[int, int]
    better: str

    def line(self) -> str:
        """A line of JSON."""
        return json.dumps({"episodes": self.episodes, "frames": self.frames, "better": self.better})


def read_pairs(path: Path) -> list[LabelledPair]:
    """The labelled pairs of a file, a line of JSON each.

    Raises:
        ConfigError: When there is no such file, it is no text, or a line is no labelled pair; names it.
    """
    found = []
    for number, line in enumerate(lines_of(path, "labelled pairs", "docs/rewards.md says what it holds."), 1):
        try:
            found.append(_pair(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}, line {number} is no labelled pair: {error}. Expected e.g. "
                '{"episodes": ["ID", "ID"], "frames": [0, 12], "better": "second"}.'
            ) from error
    return found


def _pair(entry: dict[str, Any]) -> LabelledPair:
    first, second = map(str, entry["episodes"])
    before, after = map(int, entry["frames"])
    if entry["better"] not in BETTER:
        raise ValueError(f"better is {entry['better']!r}, expected one of {', '.join(BETTER)}")
    return LabelledPair((first, second), (before, after), entry["better"])


def pairs_of_file(lessons: Lessons, pairs: list[LabelledPair], goal: int) -> tuple[Int64, Int64]:
    """Rows of the better and of the worse frames (n,) of a goal's pairs; those without a difference are left out.

    Pairs of episodes that must not be learned from, or that are not there, are left out, too.

    Raises:
        ConfigError: When a frame is beyond its episode's end.
    """
    episodes = {episode.id: episode for episode in lessons.episodes if episode.goal == goal}
    better, worse = [], []
    for pair in pairs:
        if pair.better == "same" or not all(id in episodes for id in pair.episodes):
            continue
        rows = []
        for id, frame in zip(pair.episodes, pair.frames, strict=True):
            if not 0 <= frame < len(episodes[id].rows):
                raise ConfigError(
                    f"A labelled pair names frame {frame} of episode {id}, which ends with frame "
                    f"{len(episodes[id].rows) - 1}."
                )
            rows.append(episodes[id].rows[frame])
        first_is_better = pair.better == "first"
        better.append(rows[0 if first_is_better else 1])
        worse.append(rows[1 if first_is_better else 0])
    return np.array(better, np.int64), np.array(worse, np.int64)


def pairs_of_outcomes(lessons: Lessons, goal: int, count: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Rows of the better and of the worse frames (n,), drawn from what is known of a goal's episodes.

    One half are frames that show the goal done against frames that don't; the other half are two frames of one success,
    of which the later is the better one.
    """
    done, others = lessons.rows(goal, True), lessons.rows(goal, False)
    better, worse = [rng.choice(done, count // 2)], [rng.choice(others, count // 2)]
    shown = [e.rows for e in lessons.episodes if e.goal == goal and e.outcome == "success" and not e.aftermath]
    shown = [rows for rows in shown if len(rows) > 1]
    for _ in range(count - count // 2 if shown else 0):
        rows = shown[int(rng.integers(len(shown)))]
        early, late = np.sort(rng.choice(len(rows), 2, replace=False))
        better.append(rows[late : late + 1])
        worse.append(rows[early : early + 1])
    return np.concatenate(better), np.concatenate(worse)
