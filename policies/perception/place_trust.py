"""How far a place that the network sees is believed: as far as episodes bear it out whose places it hasn't learned.

A network knows by heart where its demonstrations put things. Where that was anywhere in a bin or on a mat, no picture
tells it: in a new scene what the network says is chance, and the policy, which sees differences to it and nothing else
of where the goal is, lets go there. So the place is shrunk towards the mean of its direction's places by the slope of
what was true on what is seen (Copas, Regression, prediction and shrinkage, 1983) less that slope's standard error,
measured on a second network from which a fourth of these places was hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from policies.perception.keypoint_labels import PLACE_SIZE
from trajectories.types import Bool, Float32, Int64

_MEAN, _TRUST = "places.mean", "places.trust"
Groups = Mapping[str, Sequence[int]]
"""Name, as a direction of the target task -> rows of the text table that mean the same."""
HIDDEN = 0.25
"""Share of a group's episodes whose places are hidden from the second network."""
FEWEST = 2
"""Hidden episodes of a group from which on it is measured; with less, what is seen is believed."""


@dataclass(frozen=True)
class PlaceTrust:
    """What becomes of a place by the instruction that it is seen under: mean + trust (seen - mean).

    Attributes:
        mean: float32 (K, 3), base frame, m; one row for each of the text table's.
        trust: float32 (K,) in [0, 1]; 1 leaves what is seen.
    """

    mean: Float32
    trust: Float32

    @classmethod
    def whole(cls, instructions: int) -> PlaceTrust:
        """Everything that is seen is believed, under each of K instructions."""
        return cls(np.zeros((instructions, PLACE_SIZE), np.float32), np.ones(instructions, np.float32))

    def tensors(self) -> dict[str, Tensor]:
        """For a file; none where everything is believed."""
        if (self.trust == 1.0).all():
            return {}
        return {_MEAN: torch.from_numpy(self.mean), _TRUST: torch.from_numpy(self.trust)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], instructions: int) -> PlaceTrust:
        """Inverse of `tensors`, among those of a file, under K instructions."""
        if _TRUST not in tensors:
            return cls.whole(instructions)
        return cls(tensors[_MEAN].numpy(), tensors[_TRUST].numpy())

    def shrunk(self, places: Float32, rows: Int64) -> Float32:
        """Places as they are believed, float32 (N, 3).

        Args:
            places: float32 (N, 3), as seen.
            rows: int64 (N,) of the text table.
        """
        trust = self.trust[rows][:, None]
        return np.where(trust < 1.0, self.mean[rows] + trust * (places - self.mean[rows]), places)

    def extended(self, text: Float32) -> PlaceTrust:
        """The same for a longer text table: a new instruction is taken as the nearest one of those known here.

        Args:
            text: float32 (L, E) embeddings, those of the K rows first.
        """
        known, new = text[: len(self.trust)], text[len(self.trust) :]
        apart = np.linalg.norm(new[:, None] - known[None], axis=2)
        rows = np.concatenate([np.arange(len(known)), apart.argmin(axis=1)]).astype(np.int64)
        return replace(self, mean=self.mean[rows], trust=self.trust[rows])


def hidden_episodes(episode: Int64, instruction: Int64, known: Bool, groups: Groups, seed: int) -> Int64:
    """Numbers of a fourth of the episodes that show a place under a group's instructions, at least `FEWEST`.

    None of a group with less than twice as many.

    Args:
        episode: int64 (N,) number of each frame's episode.
        instruction: int64 (N,) row of the text table of each frame.
        known: bool (N,) frames whose place is known and may be trained on.
        groups: Of instructions.
        seed: Of the choice.
    """
    rng = np.random.default_rng([seed, 1])
    hidden: set[int] = set()
    seen: set[int] = set()
    for rows in groups.values():
        shown = np.unique(episode[known & np.isin(instruction, rows)])
        new = rng.permutation(np.setdiff1d(shown, sorted(seen)))
        if len(new) >= 2 * FEWEST:
            hidden.update(new[: max(FEWEST, round(HIDDEN * len(new)))].tolist())
        seen.update(new.tolist())
    return np.array(sorted(hidden), dtype=np.int64)


@dataclass(frozen=True)
class HiddenPlaces:
    """What the network that hasn't learned them says of places: one frame of each of N copies of episodes.

    Attributes:
        episode: int64 (N,) numbers; copies under other wordings share one.
        instruction: int64 (N,) rows of the text table.
        seen: float32 (N, 3), m.
        true: float32 (N, 3), m.
    """

    episode: Int64
    instruction: Int64
    seen: Float32
    true: Float32

    def slope(self, rows: Sequence[int], mean: Float32) -> tuple[float, float]:
        """Slope of what was true on what is seen in the plane, about a mean, and its standard error; NaN without any.

        Args:
            rows: Instructions that mean the same; what is seen under them is averaged for each episode.
            mean: float32 (3,).
        """
        mine = np.isin(self.instruction, rows)
        numbers = np.unique(self.episode[mine])
        if len(numbers) < FEWEST:
            return np.nan, np.nan
        each = [mine & (self.episode == number) for number in numbers]
        said, was = (
            np.concatenate([(part[one].mean(axis=0) - mean)[:2] for one in each]).astype(np.float64)
            for part in (self.seen, self.true)
        )
        power = max(float(said @ said), 1e-12)
        slope = float(said @ was) / power
        left = was - slope * said
        return slope, float(np.sqrt(left @ left / (len(said) - 1) / power))


def fit_trust(places: HiddenPlaces, means: Mapping[str, Float32], groups: Groups, count: int) -> PlaceTrust:
    """Trust of each group: the slope less its standard error, in [0, 1]; 1 where it can't be measured.

    Args:
        places: Of hidden episodes.
        means: Name of a group -> float32 (3,) mean of all its known places.
        groups: Of instructions.
        count: K, rows of the text table.
    """
    whole = PlaceTrust.whole(count)
    for name, rows in groups.items():
        if name not in means:
            continue
        slope, error = places.slope(rows, means[name])
        if np.isfinite(slope):
            whole.mean[list(rows)] = means[name]
            whole.trust[list(rows)] = np.clip(slope - error, 0.0, 1.0)
    return whole
