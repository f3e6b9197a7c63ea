"""What the classifier learns from: (frame, goal, label) pairs over embedded frames.

A goal is a task and a direction; its wordings are all the instructions that were recorded for it. Beside its
own goal, a frame is paired with goals that it surely does not show: the last frames of a success with the
opposite direction's goal, and every frame with goals of other tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rewards.backbone import Backbone
from rewards.frames import SUCCESS
from rewards.gathering import RewardData
from trajectories.types import Int64

ALIKE = 0.95
"""Goals whose mean instruction embeddings are closer than this (cosine) count as the same goal."""


@dataclass(frozen=True)
class Pairs:
    """(image row, goal, label) triples.

    Attributes:
        rows: int64 (M,) rows of the features.
        goals: int64 (M,).
        labels: bool (M,).
        folds: int64 (M,) of the episode that the frame belongs to.
    """

    rows: Int64
    goals: Int64
    labels: NDArray[np.bool_]
    folds: Int64

    def __getitem__(self, chosen: NDArray[np.bool_] | Int64) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.rows[chosen], self.goals[chosen], self.labels[chosen], self.folds[chosen])

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows)


def own_pairs(data: RewardData) -> Pairs:
    """Every labelled, unchanged frame with its own goal."""
    parts = [
        (e.rows[e.labels >= 0], e.goal, e.labels[e.labels >= 0] == SUCCESS, e.fold) for e in data.episodes
    ]
    return _pairs([(rows, np.full(len(rows), goal), labels, fold) for rows, goal, labels, fold in parts])


def cross_pairs(data: RewardData, backbone: Backbone, rng: np.random.Generator) -> Pairs:
    """Frames with goals that they surely do not show: all negative."""
    similar = _alike(data, backbone)
    parts = []
    for episode in data.episodes:
        task, direction = data.goals[episode.goal]
        other_tasks = [
            i for i, (name, _) in enumerate(data.goals) if name != task and not similar[i, episode.goal]
        ]
        opposite = [
            i for i, goal in enumerate(data.goals)
            if goal[0] == task and goal[1] != direction and not similar[i, episode.goal]
        ]  # fmt: skip
        last = episode.rows[episode.labels == SUCCESS]
        for goal in opposite:
            parts.append((last, np.full(len(last), goal), np.zeros(len(last), bool), episode.fold))
        rows = episode.rows[episode.labels >= 0]
        if other_tasks and len(rows):
            rows = rng.choice(rows, min(len(rows), 8), replace=False)
            drawn = rng.choice(other_tasks, len(rows))
            parts.append((rows, drawn, np.zeros(len(rows), bool), episode.fold))
    return _pairs(parts)


def with_copies(pairs: Pairs, data: RewardData) -> Pairs:
    """The pairs, and the same for the changed copies of their frames."""
    index, copies = [], []
    for i, row in enumerate(pairs.rows):
        for copy in data.copies.get(int(row), ()):
            index.append(i)
            copies.append(copy)
    extra = pairs[np.asarray(index, dtype=np.int64)]
    return joined(pairs, Pairs(np.asarray(copies, np.int64), extra.goals, extra.labels, extra.folds))


def joined(*parts: Pairs) -> Pairs:
    """All pairs of all parts."""
    return Pairs(
        np.concatenate([p.rows for p in parts]),
        np.concatenate([p.goals for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.folds for p in parts]),
    )


def _pairs(parts: list[tuple[Int64, Int64, NDArray[np.bool_], int]]) -> Pairs:
    empty = np.zeros(0, np.int64)
    return Pairs(
        np.concatenate([rows for rows, _, _, _ in parts] or [empty]),
        np.concatenate([goals for _, goals, _, _ in parts] or [empty]),
        np.concatenate([labels for _, _, labels, _ in parts] or [empty.astype(bool)]),
        np.concatenate([np.full(len(rows), fold) for rows, _, _, fold in parts] or [empty]),
    )


def _alike(data: RewardData, backbone: Backbone) -> NDArray[np.bool_]:
    means = torch.stack([backbone.encode_text(words).mean(dim=0) for words in data.wordings])
    means = functional.normalize(means, dim=1)
    shared = [[bool(set(a) & set(b)) for b in data.wordings] for a in data.wordings]
    return np.asarray((means @ means.T).cpu() > ALIKE) | np.asarray(shared)
