"""How many updates a number of environment steps pays for, and how far the learner may fall behind."""

from __future__ import annotations

from dataclasses import dataclass

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class UpdateRateLimiter:
    """One update is due for every environment step after the warm-up.

    Attributes:
        warmup_steps: Environment steps during which nothing is learned (step 3 of WSRL, arXiv 2412.07762).
        max_lag: Steps that the learner may be behind before actors have to wait; at least the longest episode, or
            actor and learner take turns instead of working side by side.
    """

    warmup_steps: int
    max_lag: int

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or self.max_lag < 0:
            raise ConfigError(f"warmup_steps={self.warmup_steps} and max_lag={self.max_lag} must not be negative.")

    def owed(self, steps: int, updates: int) -> int:
        """Updates that are due after `steps` environment steps of which `updates` have been done."""
        return max(0, steps - self.warmup_steps - updates)

    def may_act(self, steps: int, updates: int) -> bool:
        """Whether an actor may collect another episode."""
        return self.owed(steps, updates) <= self.max_lag

    def trained_steps(self, steps: int, updates: int) -> int:
        """Environment steps that the present policy has learned from (all of them in the warm-up)."""
        return min(steps, self.warmup_steps + updates)
