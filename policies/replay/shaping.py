"""Potential-based shaping: what a step gains in progress is added to its reward, and the best policies stay so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policies.replay.known_progress import known_progress
from trajectories.errors import ConfigError
from trajectories.types import Bool, Float32


@dataclass(frozen=True)
class Labels:
    """What an outcome makes of T steps.

    Attributes:
        rewards: float32 (T,).
        terminated: bool (T,).
        mc_returns: float32 (T,).
    """

    rewards: Float32
    terminated: Bool
    mc_returns: Float32


@dataclass(frozen=True)
class Shaping:
    """How much progress counts.

    Attributes:
        weight: Reward of getting from nothing to done, in rewards of a step; 0 leaves rewards as they are.
    """

    weight: float = 0.0

    def __post_init__(self) -> None:
        """Check the weight.

        Raises:
            ConfigError: It is negative or no number.
        """
        if not 0.0 <= self.weight < float("inf"):
            raise ConfigError(f"The weight of progress is {self.weight}; expected 0 (none) or more.")

    def shaped(self, labels: Labels, metadata: Mapping[str, Any], id: str, gamma: float) -> Labels:
        """Labels with r + gamma Phi(s') - Phi(s) in place of r, where Phi is `weight` times the progress.

        Source: Ng, Harada and Russell 1999, theorem 1. Phi is 0 where an episode terminates, so that a terminal step
        gains -Phi(s); from a truncated one the critic bootstraps, so that Phi of its last observation counts. The
        return of each step becomes G - Phi(s), since the rest cancels: whatever leads back to where it began gains
        nothing. An observation whose progress isn't known has that of the one before it.

        Args:
            labels: Those of the episode's outcome.
            metadata: Of the episode, with the progress that its judge noted.
            id: Its id, for messages.
            gamma: Discount of one step.

        Raises:
            ConfigError: No progress was noted.
        """
        if not self.weight:
            return labels
        progress = known_progress(metadata, len(labels.rewards), id, "finetune.shaping")
        phi = (self.weight * progress).astype(np.float32)
        after = np.where(labels.terminated, np.float32(0.0), phi[1:])
        return Labels(
            (labels.rewards + gamma * after - phi[:-1]).astype(np.float32),
            labels.terminated,
            (labels.mc_returns - phi[:-1]).astype(np.float32),
        )


NO_SHAPING = Shaping()
