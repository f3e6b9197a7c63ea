"""An agent that acts in a Gymnasium environment, and the seeds of what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch

from policies.agent.agent import Agent
from policies.gym.preparation import Preparation
from trajectories.types import Float32


class Stream(IntEnum):
    """Independent sources of randomness of one run."""

    TRAINING = 0
    EVALUATION = 1
    RANDOM_ACTIONS = 2
    OFFLINE_DRAWS = 3
    ONLINE_DRAWS = 4
    SAMPLED_EVALUATION = 5


def seed_of(seed: int, stream: Stream, number: int = 0) -> int:
    """Seed of the `number`-th thing of a stream, 0 ... 2**32 - 1; nothing of it needs to be kept in checkpoints."""
    return int(np.random.SeedSequence([seed, stream, number]).generate_state(1)[0])


@dataclass(frozen=True)
class GymPolicy:
    """An agent without language and the preparation of its observations.

    Attributes:
        agent: The agent.
        preparation: Of observations and actions.
    """

    agent: Agent
    preparation: Preparation

    def act(self, observation: Any, deterministic: bool) -> Float32:
        """An action, float32 (A,) in [-1, 1], for one observation of the environment: (F,) or `Seen`."""
        state = torch.from_numpy(self.preparation.state(observation))[None].to(self.agent.device)
        return self.preparation.action(self.agent.act(state, deterministic=deterministic)[0].cpu().numpy())

    @contextmanager
    def own_draws(self, seed: int) -> Iterator[None]:
        """Draw actions from a seed of their own within; afterwards the agent's draws go on as if nothing had been."""
        generator = self.agent.generator
        before = generator.get_state()
        generator.manual_seed(seed)
        try:
            yield
        finally:
            generator.set_state(before)
