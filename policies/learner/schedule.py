"""`Schedule`: what an environment step pays for while training online."""

from __future__ import annotations

from dataclasses import dataclass

from policies.agent.config import Phase


@dataclass(frozen=True)
class Schedule:
    """Batches, updates and phases; every value changes what is learned.

    Attributes:
        batch: Transitions of one critic update.
        utd: Critic updates for every environment step; the policy gets one.
        warmup_steps: Environment steps before the first update.
        critic_only: First updates that are done in the phase "warmup" instead of "online".
    """

    batch: int
    utd: int
    warmup_steps: int
    critic_only: int

    def phase(self, updates: int) -> Phase:
        """The phase of the next update, after `updates` of them."""
        return "warmup" if updates < self.critic_only else "online"
