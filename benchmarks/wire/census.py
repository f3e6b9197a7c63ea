"""Count what an actor recorded and what its learner has, from the files of both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.arms.census import recorded_now
from policies.learner.run_folder import EPISODES
from robot.link.codec import encode_episode
from trajectories.numbers import NS_PER_S
from trajectories.store import TrajectoryStore
from trajectories.types import PROPRIO_NAMES, Episode

_LATE = 1.5
"""Periods between two observations from which on control ticks between them were missed."""


class Recorded:
    """Ids of episodes that were seen in an actor's outbox, or that it counts as recorded.

    Args:
        folder: Of the fine-tuning, where the actor with the computer's name writes.
    """

    def __init__(self, folder: Path) -> None:
        self.ids: set[str] = set()
        self._folder = folder

    def look(self) -> None:
        """Take in what is there now."""
        self.ids |= recorded_now(self._folder)


@dataclass(frozen=True)
class Count:
    """Of the episodes that began in a stretch of time.

    Attributes:
        episodes: Recorded.
        stored: Of them, in the learner's store.
        transitions: Stored.
        doubled: Episodes whose proprioception another stored one has, too, to the bit.
        missed: Control ticks that were missed, by the time stamps of the joints.
        raw_bytes: Of an episode's arrays, on average.
        message_bytes: Of the message that an episode is sent as, on average.
    """

    episodes: int
    stored: int
    transitions: int
    doubled: int
    missed: int
    raw_bytes: float
    message_bytes: float

    @property
    def lost(self) -> int:
        """Recorded and not stored."""
        return self.episodes - self.stored


def count(folder: Path, recorded: set[str], stretches: Sequence[tuple[float, float]]) -> list[Count]:
    """What became of the episodes that were made in each stretch, Unix time s.

    Args:
        folder: Of the fine-tuning; nobody writes there any more.
        recorded: Ids, `Recorded.ids`.
        stretches: Beginning and end.
    """
    with TrajectoryStore(folder / EPISODES, read_only=True) as store:
        ids, period_ns = list(store.ids()), NS_PER_S / store.spec.control_hz
        episodes = {id: store.read(id) for id in ids}
    contents = Counter(_content(one) for one in episodes.values())
    found = []
    for begin, end in stretches:
        inside = [id for id in recorded | set(ids) if begin <= made_s(id) < end]
        stored = [episodes[id] for id in inside if id in episodes]
        found.append(
            Count(
                len(inside),
                len(stored),
                sum(map(len, stored)),
                sum(contents[_content(one)] > 1 for one in stored),
                sum(missed_ticks(one, period_ns) for one in stored),
                _mean([_raw_bytes(one) for one in stored]),
                _mean([len(encode_episode(one)) for one in stored]),
            )
        )
    return found


def made_s(id: str) -> float:
    """Unix time at which an episode's id was drawn, s."""
    return int(id.split("-")[0]) / NS_PER_S


def missed_ticks(episode: Episode, period_ns: float) -> int:
    """Control ticks that are missing between its observations.

    Not so before the second one, since the grid of control steps begins with the first action, and not in a step in
    which the gripper opens or closes, since that lasts until the fingers have stopped (`Controller`).
    """
    opened = episode.proprio[:, PROPRIO_NAMES.index("gripper_command")] > 0
    told = opened[1:] == opened[:-1]
    told[0] = False
    periods = np.diff(episode.t_ns["joints"])[told] / period_ns
    return int(np.sum(np.round(periods[periods > _LATE]) - 1))


def _content(episode: Episode) -> str:
    return hashlib.sha256(episode.proprio.tobytes() + episode.executed.tobytes()).hexdigest()


def _mean(numbers: Sequence[int]) -> float:
    return float(np.mean(numbers)) if numbers else 0.0


def _raw_bytes(episode: Episode) -> int:
    return sum(image.nbytes for image in episode.images.values()) + episode.proprio.nbytes
