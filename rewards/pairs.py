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
from trajectories.types import Float64, Int64

ALIKE = 0.95
"""Goals of other tasks with mean instruction embeddings closer than this (cosine) may be the same goal."""


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


def own_pairs(data: RewardData) -> tuple[Pairs, NDArray[np.bool_]]:
    """Every unchanged frame with its own goal, and whether to learn from it; the label of the others is False."""
    parts = [(e.rows, np.full(len(e.rows), e.goal), e.labels == SUCCESS, e.fold) for e in data.episodes]
    return _pairs(parts), np.concatenate([e.known for e in data.episodes])


def cross_pairs(data: RewardData, backbone: Backbone, rng: np.random.Generator) -> Pairs:
    """Frames with goals that they surely do not show: all negative."""
    similar = _similarity(data, backbone)
    parts = []
    for episode in data.episodes:
        task, direction = data.goals[episode.goal]
        other_tasks = [i for i, (name, _) in enumerate(data.goals) if name != task and similar[i, episode.goal] < ALIKE]
        opposite = [i for i, (name, way) in enumerate(data.goals) if name == task and way != direction]
        last = episode.rows[episode.known & (episode.labels == SUCCESS)]
        for goal in opposite:
            parts.append((last, np.full(len(last), goal), np.zeros(len(last), bool), episode.fold))
        rows = episode.rows[episode.known]
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


def _similarity(data: RewardData, backbone: Backbone) -> Float64:
    """(G, G) cosine between the goals' mean instruction embeddings; 1 where they share a wording."""
    means = torch.stack([backbone.encode_text(words).mean(dim=0) for words in data.wordings])
    means = functional.normalize(means, dim=1)
    shared = [[bool(set(a) & set(b)) for b in data.wordings] for a in data.wordings]
    return np.where(shared, 1.0, (means @ means.T).double().cpu().numpy())
