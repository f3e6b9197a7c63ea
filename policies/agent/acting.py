"""What of an agent the robot gets: the policy that acts, its actions, its weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.agent.agent_state import encoder_tensors
from policies.agent.config import AgentConfig
from policies.agent.distribution import act
from policies.agent.networks import Actor
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import ConfigError


class ActingAgent:
    """The part of an `Agent` that acts; see there what its attributes are."""

    config: AgentConfig
    sizes: tuple[int, int, int]
    device: torch.device
    generator: torch.Generator
    actor: Actor
    average: Actor | None
    encoder: Encoder | None

    @property
    def acting(self) -> Actor:
        """The policy that acts, is published and is kept."""
        return self.actor if self.average is None else self.average

    @torch.no_grad()
    def act(self, state: Tensor, embedding: Tensor | None = None, deterministic: bool = False) -> Tensor:
        """Actions (B, A) in [-1, 1] of the policy that acts.

        Args:
            state: float32 (B, F).
            embedding: float32 (B, E) of the instructions; None without language.
            deterministic: The most likely action instead of a sample (or of an action with exploration noise).

        Raises:
            ConfigError: When there is no embedding for an agent with language.
        """
        if embedding is None and self.sizes[1] > 0:
            raise ConfigError(f"act needs the embeddings (B, {self.sizes[1]}) of the instructions; there are none")
        code = None if embedding is None or self.sizes[1] == 0 else self.acting.encode(embedding)
        mean, log_std = self.acting(state, code)
        noise = None if deterministic else torch.randn(mean.shape, generator=self.generator, device=self.device)
        return act(self.config.networks.policy, mean, log_std, noise)

    def actor_weights(self) -> Mapping[str, Tensor]:
        """Name -> tensor of the policy network that acts, on the CPU: what is published to the robot.

        With an encoder, its trained tensors, too, under "encoder.".
        """
        tensors = self.acting.state_dict() | encoder_tensors(self.encoder)
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
