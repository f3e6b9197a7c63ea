"""`Optimisers`: Adam for each part of an agent, and the steps that it takes down their losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from policies.agent.config import AgentConfig
from policies.common.ranks import ALONE, Ranks


class Optimisers(dict[str, torch.optim.Adam]):
    """Name of a part -> its optimiser.

    Attributes:
        ranks: Processes that step together, each by the gradient of its part of the batch.
    """

    ranks: Ranks = ALONE

    @classmethod
    def of(cls, config: AgentConfig, parts: Mapping[str, Sequence[Tensor]]) -> Optimisers:
        """For these parts, with the settings' step sizes."""
        rates = {
            "actor": config.actor_lr,
            "temperature": config.temperature_lr,
            "cql_weight": config.lagrange_lr or config.temperature_lr,
        }
        made = {
            name: torch.optim.Adam(list(tensors), lr=rates.get(name, config.critic_lr), fused=True)
            for name, tensors in parts.items()
        }
        return cls(made)

    def tensors(self, *names: str) -> list[Tensor]:
        """What these optimisers train."""
        return [tensor for name in names for tensor in self[name].param_groups[0]["params"]]

    def descend(self, loss: Tensor, metrics: Mapping[str, Tensor], *names: str) -> None:
        """Step of these optimisers down the loss of a batch; see `advance`."""
        self._differentiate(loss, *names)
        self.advance(metrics, *names)

    def advance(self, metrics: Mapping[str, Tensor], *names: str) -> None:
        """Step of these optimisers by the gradients that are there: averaged over the ranks, like the metrics."""
        gradients = [tensor.grad for tensor in self.tensors(*names) if tensor.grad is not None]
        self.ranks.average([*gradients, *metrics.values()])
        for name in names:
            self[name].step()

    def descend_alike(self, loss: Tensor, name: str) -> None:
        """Step of an optimiser down a loss that all ranks have alike."""
        self._differentiate(loss, name)
        self[name].step()

    def _differentiate(self, loss: Tensor, *names: str) -> None:
        for name in names:
            self[name].zero_grad(set_to_none=True)
        loss.backward()
