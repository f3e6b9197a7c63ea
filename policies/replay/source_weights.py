"""`SourceWeights`: how often a step is drawn, by who chose its action and by the progress that it gained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from trajectories.errors import ConfigError
from trajectories.types import Float32, Float64, Source, UInt8


@dataclass(frozen=True)
class SourceWeights:
    """A transition's chance to be drawn is proportional to the weight of its source.

    With weights w and n transitions of each source held, source s makes up w_s n_s / sum(w n) of the draws: with
    person=4 every step of a person is drawn four times as often as every step of the policy, however many there are.
    A source of which nothing is held takes no part; one of weight 0 is kept but never drawn. A step that gained
    progress is drawn more often than another one of its source, w_s (1 + progress * gain) times.

    Attributes:
        policy: Of the policy's own steps.
        person: Of a person's, who took over.
        expert: Of a scripted expert's.
        progress: Of what a step gained in progress, 0 ... 1 (`policies.replay.known_progress`); 0: gains don't count.
    """

    policy: float = 1.0
    person: float = 1.0
    expert: float = 1.0
    progress: float = 0.0

    def __post_init__(self) -> None:
        values, sources = asdict(self), (self.policy, self.person, self.expert)
        if not all(math.isfinite(value) and value >= 0 for value in values.values()) or not any(sources):
            raise ConfigError(
                f"Weights of sources {values} are out of range; expected finite numbers of at least 0, and one above."
            )

    @property
    def uniform(self) -> bool:
        """Whether every transition has the same chance."""
        return self.policy == self.person == self.expert and not self.gains

    @property
    def gains(self) -> bool:
        """Whether what a step gained counts."""
        return self.progress > 0

    def of(self, source: UInt8, gain: Float32 | None = None) -> Float64:
        """float64 (T,) weights of uint8 (T,) values of `Source`, with float32 (T,) gains where those count."""
        weights = np.array([getattr(self, entry.name.lower()) for entry in sorted(Source)], np.float64)[source]
        return weights if gain is None else weights * (1.0 + self.progress * gain.astype(np.float64))


ALIKE = SourceWeights()


def covering(points: Tensor, sums: Sequence[Tensor]) -> Tensor:
    """Which transition covers each point when all lie side by side, each as wide as its weight.

    Args:
        points: float64 (B,), from the sum before the first transition to the last sum.
        sums: float64 running sums of the weights, in parts that follow each other.

    Returns:
        int64 (B,) numbers of transitions, the first of all being 0; a point between two is the second's, one at the
        very end (a draw rounded up) the last one's that has a width.
    """
    end = sums[-1][-1]
    inside = points.minimum(end.nextafter(torch.full_like(end, -math.inf)))
    before = [torch.searchsorted(part, inside, right=True) for part in sums]
    return sum(before[1:], before[0])
