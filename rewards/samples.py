"""Every wording of every goal, and the frames that are judged under all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rewards.backbone import Backbone
from rewards.gathering import RewardData
from rewards.pairs import Pairs, joined
from trajectories.types import Float64, Int64


class Wordings:
    """The embedded wordings of G goals, one after the other.

    Attributes:
        texts: Unit embeddings float32 (V, E) of all wordings.
        first: int64 (G,) where the wordings of each goal begin.
        counts: int64 (G,) how many it has.
    """

    def __init__(self, data: RewardData, backbone: Backbone) -> None:
        self.texts: Tensor = backbone.encode_text([text for words in data.wordings for text in words])
        self.counts: Int64 = np.array([len(words) for words in data.wordings], np.int64)
        self.first: Int64 = np.cumsum(self.counts) - self.counts

    def draw(self, goals: Int64, rng: np.random.Generator) -> Tensor:
        """A random wording of each goal: (N,) -> (N, E)."""
        drawn = self.first[goals] + (rng.random(len(goals)) * self.counts[goals]).astype(np.int64)
        return self.texts[torch.from_numpy(drawn).to(self.texts.device)]

    def every(self, goals: Int64) -> tuple[Int64, Int64]:
        """All wordings of all goals: (N,) -> index of the goal's place (S,) and row of `texts` (S,), in that order."""
        counts = self.counts[goals]
        index = np.repeat(np.arange(len(goals)), counts)
        within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        return index, self.first[goals[index]] + within


@dataclass(frozen=True)
class Samples:
    """Pairs of `rewards.pairs`, each under every wording of its goal: S samples.

    Attributes:
        rows: int64 (S,) rows of the features.
        texts: int64 (S,) rows of the embedded wordings.
        goals: int64 (S,).
        labels: bool (S,).
        folds: int64 (S,) of the episode that the frame belongs to.
        known: bool (S,) whether the label is known.
        counts: bool (S,) whether the frame may count towards done.
        own: bool (S,) whether the goal is the one that the frame was recorded under.
        weights: float64 (S,) one over the number of wordings, so that every frame counts alike.
        episodes: First sample of each episode's own frames, which lie in order of time, wordings innermost; (E + 1,).
    """

    rows: Int64
    texts: Int64
    goals: Int64
    labels: NDArray[np.bool_]
    folds: Int64
    known: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    own: NDArray[np.bool_]
    weights: Float64
    episodes: Int64

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)

    def episode_of(self) -> Int64:
        """Index of the episode of each own sample, the number of episodes for all others: int64 (S,)."""
        return np.searchsorted(self.episodes[1:], np.arange(len(self)), side="right").astype(np.int64)

    def series(self, values: Float64, episode: int) -> Float64:
        """What `values` (S,) hold of one episode's own frames: (T + 1, W), a column a wording."""
        start, end = int(self.episodes[episode]), int(self.episodes[episode + 1])
        wordings = round(1 / float(self.weights[start]))
        return values[start:end].reshape(-1, wordings)


def samples_of(data: RewardData, wordings: Wordings, own: Pairs, known: NDArray[np.bool_], cross: Pairs) -> Samples:
    """Own and cross pairs under every wording.

    Args:
        data: Episodes and their frames.
        wordings: Those of the same data.
        own: Every unchanged frame with its own goal, episode by episode, see `rewards.pairs.own_pairs`.
        known: bool (len(own),), from there.
        cross: Frames with other goals.
    """
    pairs = joined(own, cross)
    index, texts = wordings.every(pairs.goals)
    counts_of = np.zeros(len(data.features.pooled), bool)
    for episode in data.episodes:
        counts_of[episode.rows] = episode.counts
    frames = np.cumsum([0, *(len(episode.rows) for episode in data.episodes)])
    first = np.concatenate([[0], np.cumsum(wordings.counts[pairs.goals])])
    return Samples(
        rows=pairs.rows[index],
        texts=texts,
        goals=pairs.goals[index],
        labels=pairs.labels[index],
        folds=pairs.folds[index],
        known=np.concatenate([known, np.ones(len(cross), bool)])[index],
        counts=counts_of[pairs.rows[index]],
        own=index < len(own),
        weights=1.0 / wordings.counts[pairs.goals[index]],
        episodes=first[frames],
    )
