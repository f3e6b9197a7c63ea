"""How far a place that the network sees is believed: as far as episodes bear it out whose places it hasn't learned.

A network knows by heart where its demonstrations put things. Where that was anywhere in a bin or on a mat, no picture
tells it: in a new scene what the network says is chance, and the policy, which sees differences to it and nothing else
of where the goal is, lets go there. So the place is shrunk towards the mean of its direction's places by the slope of
what was true on what is seen (Copas, Regression, prediction and shrinkage, 1983) less that slope's standard error,
measured on `FOLDS` more networks, each of which hasn't learned another part of these places: so every episode bears
witness. A fourth of them, six of 25 demonstrations, said too little: a pot that is seen was taken for chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.stats import norm, t
from torch import Tensor

from policies.perception.keypoint_labels import PICK_SIZE, PLACE_SIZE, SAME_PLACE
from trajectories.types import Bool, Float32, Int64

_MEAN, _TRUST = "places.mean", "places.trust"
Groups = Mapping[str, Sequence[int]]
"""Name, as a direction of the target task -> rows of the text table that mean the same, each in one group."""
NO_GROUPS: Groups = {}
FOLDS = 2
"""Parts into which a group's episodes are dealt; as many more networks learn, each without the places of one part."""
FEWEST = 2
"""Episodes of each part of a group from which on it is measured; with less, what is seen is believed."""


@dataclass(frozen=True)
class PlaceTrust:
    """What becomes of a place by the instruction that it is seen under: mean + trust (seen - mean).

    Attributes:
        mean: float32 (K, 3), base frame, m; one row for each of the text table's.
        trust: float32 (K,) in [0, 1]; 1 leaves what is seen.
        measured: Name of a group -> its trust, of those that could be measured; not kept in a file.
    """

    mean: Float32
    trust: Float32
    measured: Mapping[str, float] = field(default_factory=dict)

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


@dataclass(frozen=True)
class ShownPlaces:
    """Where N copies of episodes, one for each instruction that they are told under, put their object.

    Those whose one place is known from their first frame on, and isn't where the object lies then: an episode that
    begins done the other way shows its place to the eye, and no new scene will.

    Attributes:
        frame: int64 (N,) number of the first frame of each.
        episode: int64 (N,) number of its episode.
        instruction: int64 (N,) row of the text table.
        place: float32 (N, 3), m.
    """

    frame: Int64
    episode: Int64
    instruction: Int64
    place: Float32

    @classmethod
    def of(cls, episode: Int64, instruction: Int64, values: Float32, mask: Float32) -> ShownPlaces:
        """From labelled frames, those of a copy in order of time.

        Args:
            episode: int64 (M,) numbers.
            instruction: int64 (M,) rows of the text table.
            values: float32 (M, 8), see `KeypointLabels`.
            mask: float32 (M, 8).
        """
        copies = np.stack([episode, instruction], axis=1)
        _, first, copy = np.unique(copies, axis=0, return_index=True, return_inverse=True)
        place = values[first, PICK_SIZE:]
        known = np.flatnonzero(mask[:, PICK_SIZE] > 0)
        moved = np.zeros(len(first))
        away = np.linalg.norm(values[known, PICK_SIZE:] - place[copy[known]], axis=1)
        np.maximum.at(moved, copy[known], away)
        from_there = np.linalg.norm((values[first, :2] - place[:, :2]), axis=1)
        fine = (mask[first, PICK_SIZE] > 0) & (moved == 0.0) & (from_there > SAME_PLACE)
        return cls(first[fine], episode[first[fine]], instruction[first[fine]], place[fine])

    def under(self, rows: Sequence[int]) -> Bool:
        """Which of the N are told under one of these instructions, bool (N,)."""
        return np.isin(self.instruction, rows)

    def dealt(self, groups: Groups, seed: int) -> tuple[Int64, ...]:
        """Numbers of episodes in `FOLDS` parts, every episode of a group in one; none of a group that is too small.

        Args:
            groups: Of instructions.
            seed: Of the parts.
        """
        rng = np.random.default_rng([seed, 1])
        parts: tuple[list[int], ...] = tuple([] for _ in range(FOLDS))
        for rows in groups.values():
            mine = np.unique(self.episode[self.under(rows)])
            if len(mine) < FOLDS * FEWEST:
                continue
            counts = [int(np.isin(mine, part).sum()) for part in parts]
            for number in rng.permutation(mine).tolist():
                if not any(number in part for part in parts):
                    least = int(np.argmin(counts))
                    parts[least].append(number)
                    counts[least] += 1
        return tuple(np.array(sorted(part), dtype=np.int64) for part in parts if part)


def slope_of(seen: Float32, true: Float32, episode: Int64) -> tuple[float, float]:
    """Slope through 0 of what was true on what is seen, in the plane, and its error; NaN with fewer than `FEWEST`.

    The error is one standard error, times what Student's t makes of it with so few episodes (one degree of freedom less
    than these, since an episode's two coordinates err together).

    Args:
        seen: float32 (N, 3), about the mean; copies of an episode under other wordings are averaged.
        true: float32 (N, 3), about the mean.
        episode: int64 (N,) numbers.
    """
    numbers = np.unique(episode)
    if len(numbers) < FEWEST:
        return np.nan, np.nan
    said, was = (
        np.concatenate([part[episode == number].mean(axis=0)[:2] for number in numbers]).astype(np.float64)
        for part in (seen, true)
    )
    power = max(float(said @ said), 1e-12)
    slope = float(said @ was) / power
    left = was - slope * said
    free = len(numbers) - 1
    wider = float(t.ppf(norm.cdf(1.0), free))
    return slope, wider * float(np.sqrt(left @ left / (2 * free) / power))


def fit_trust(
    places: ShownPlaces, seen: Float32, parts: Sequence[Int64], held: Int64, groups: Groups, count: int
) -> PlaceTrust:
    """Trust of each group: the slope about the mean of its places less its error, in [0, 1]; 1 where not measured.

    Measured in the plane where the episode begins; z follows. What a network says, and what is true, count from the
    mean of the places that this network did learn: who knows nothing says that one, on the other side of the mean of
    all from the places that were hidden from it.

    Args:
        places: All that are known, N.
        seen: float32 (N, 3), m: what the network that hasn't learned a place says of it; anything of those in no part.
        parts: Numbers of the episodes whose places each network hasn't learned.
        held: Numbers of the episodes that none has.
        groups: Of instructions.
        count: K, rows of the text table.
    """
    whole, measured = PlaceTrust.whole(count), {}
    learned = ~np.isin(places.episode, held)
    for name, rows in groups.items():
        mine = places.under(rows)
        hidden = [mine & np.isin(places.episode, part) for part in parts]
        if not hidden or min(len(np.unique(places.episode[each])) for each in hidden) < FEWEST:
            continue
        said, true = np.zeros_like(places.place), np.zeros_like(places.place)
        for each in hidden:
            mean = places.place[mine & learned & ~each].mean(axis=0)
            said[each], true[each] = seen[each] - mean, places.place[each] - mean
        asked = np.logical_or.reduce(hidden)
        slope, error = slope_of(said[asked], true[asked], places.episode[asked])
        measured[name] = float(np.clip(slope - error, 0.0, 1.0))
        whole.mean[list(rows)], whole.trust[list(rows)] = places.place[mine].mean(axis=0), measured[name]
    return replace(whole, measured=measured)
