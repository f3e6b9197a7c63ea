"""What an actor's loss needs to know of the whole batch where it is computed on a part of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from policies.agent.losses.actor import SMALLEST_VALUE
from policies.agent.phase_config import PhaseConfig


@dataclass(frozen=True)
class BatchMeans:
    """Factors of an actor's loss that are no means over its transitions; scalars without gradient.

    Attributes:
        copied: Steps worth copying in an average part, at least one in the whole batch.
        cloning: The cloning loss.
        improvement: The improvement's loss.
        magnitude: mean |Q| of the policy's actions.
    """

    copied: Tensor
    cloning: Tensor
    improvement: Tensor
    magnitude: Tensor

    @classmethod
    def of(cls, averages: Tensor, phase: PhaseConfig, parts: int) -> BatchMeans:
        """From the averages over all parts of what `objectives.part_sums` gives.

        Args:
            averages: (4,).
            phase: Terms of the loss.
            parts: How many there are, all equal.
        """
        copied, cloned, improvement, magnitude = averages.unbind()
        count = at_least_one(copied, parts)
        scale = 1.0 if phase.q_scale is None else phase.q_scale / magnitude.clamp_min(SMALLEST_VALUE)
        return cls(count, cloned / count, improvement * scale, magnitude)


def at_least_one(copied: Tensor, parts: int) -> Tensor:
    """Steps worth copying in an average part, counted as one in all parts where there is none."""
    return copied.clamp_min(1.0 / parts)
