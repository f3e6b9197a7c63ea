"""Says when learning diverges: a critic expects what no rewards could add up to, or parameters aren't finite."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig
from policies.agent.phase_config import PHASES
from trajectories.errors import CheckpointError

_TARGET = "critic/target"
_MARGIN = 0.1
"""How far beyond the possible returns values may lie, as a share of their range: regularisers push a little."""


class DivergenceWatch:
    """Compares a critic's targets with the returns that the rewards drawn so far allow.

    With rewards in [low, high] and discount gamma, a return lies in [min(low, 0), max(high, 0)] / (1 - gamma); 0 is
    what follows a termination. Entropy bonuses in the target have no such bounds: an agent with them isn't watched.
    """

    def __init__(self, config: AgentConfig, advice: str) -> None:
        """Watch an agent of these settings; `advice` is a sentence that says what to do."""
        self._advice = advice
        self._horizon = 1.0 / (1.0 - config.gamma)
        self._low = self._high = 0.0
        self._silent = any(config.phase(name).entropy_backup for name in PHASES)

    def look(self, rewards: Tensor, metrics: Mapping[str, Tensor]) -> None:
        """Warn (RuntimeWarning), once, if an update's mean target is impossible or not a number.

        Args:
            rewards: float32 (B,) of the update's batch, as the critic learns from them.
            metrics: Of the update; one without critics has no target.
        """
        if self._silent or _TARGET not in metrics:
            return
        self._low, self._high = min(self._low, float(rewards.min())), max(self._high, float(rewards.max()))
        low, high = self._horizon * self._low, self._horizon * self._high
        margin, value = _MARGIN * (high - low), float(metrics[_TARGET])
        unknown = low == high  # no reward but 0 so far: nothing tells their scale
        if math.isfinite(value) and (unknown or low - margin <= value <= high + margin):
            return
        self._silent = True
        warnings.warn(
            f"The critic diverges: its mean target is {value:.4g}, and returns lie between {low:.4g} and {high:.4g}. "
            f"What it learns now is worth little. {self._advice}",
            RuntimeWarning,
            stacklevel=2,
        )


def require_finite(agent: Agent, updates: int, advice: str) -> None:
    """Refuse to hand on, or to keep, an agent whose learning diverged.

    Args:
        agent: It.
        updates: Done so far, for the message.
        advice: Sentences that say what to do.

    Raises:
        CheckpointError: A parameter of policy or critics is infinite or not a number.
    """
    if not agent.finite:
        raise CheckpointError(
            f"Learning diverged: after {updates} updates the policy or its critics hold numbers that aren't finite. "
            f"They were not saved. {advice}"
        )
