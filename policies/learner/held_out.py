"""How well an agent does on episodes that it isn't trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.distribution import log_density
from policies.agent.draws import draw_for_critic
from policies.agent.networks import ensemble_values
from policies.agent.objectives import critic_objective
from policies.common.batch import Batch
from policies.perception.encoders.frames import ImageDraws, encode_batch
from policies.replay.replay import Replay

_CHUNK = 512
_SEED = 0
"""Of the actions that targets are drawn with: the same ones in every measurement, so that figures can be compared."""


class HeldOutEpisodes:
    """All transitions of the held-out episodes, and the figures that an agent gets on them.

    Measuring leaves the agent, its draws and everything else that training depends on as they were.
    """

    def __init__(self, replay: Replay) -> None:
        """Keep them.

        Args:
            replay: Filled with these episodes and nothing else.
        """
        self._replay = replay

    def __len__(self) -> int:
        """Transitions."""
        return len(self._replay)

    @torch.no_grad()
    def figures(self, agent: Agent, critics: bool) -> dict[str, float]:
        """Means over all held-out transitions, by name.

            clone_nll       -log pi(a | s) of the steps worth copying, nats (not of a deterministic policy)
            action_error    root mean square of tanh(mean) - a over these steps and the action's entries
            td              the critics' loss against their targets, as in training
            q               Q(s, a) of the data's actions, mean of the ensemble
            return          Monte-Carlo return of the same steps
            q_error         root mean square of Q(s, a) minus that return
            q_correlation   Pearson's, of the two; absent where one of them doesn't vary

        Args:
            agent: In any phase.
            critics: Whether to look at the critics, too: not before they have learned anything.
        """
        copied: list[tuple[Tensor, Tensor]] = []
        values: list[tuple[Tensor, Tensor]] = []
        loss = 0.0
        generator = torch.Generator(device=agent.device).manual_seed(_SEED)
        for batch in self._batches(agent):
            copied.append(_cloning(agent, batch))
            if critics:
                loss += _td(agent, batch, generator) * len(batch)
                values.append((_q(agent, batch), batch.mc_return))
        figures = _cloning_figures(agent, *_joined(copied))
        if critics:
            figures |= {"td": loss / len(self)} | _value_figures(*_joined(values))
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def _batches(self, agent: Agent) -> Iterator[Batch]:
        """All transitions in their order, with features, without augmentation."""
        end = self._replay.added
        for first in range(end - len(self._replay), end, _CHUNK):
            batch = self._replay.gather(torch.arange(first, min(first + _CHUNK, end)))
            if agent.encoder is not None:
                batch = encode_batch(agent.encoder, batch, agent.table, ImageDraws(None, None)).actor
            yield batch


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first, second = zip(*parts, strict=True)
    return torch.cat(first), torch.cat(second)


def _cloning(agent: Agent, batch: Batch) -> tuple[Tensor, Tensor]:
    """-log pi(a | s) and the mean squared error of the action, (n,) each, of the batch's n steps worth copying."""
    chosen = agent.config.phase(agent.phase).clone_all | (batch.imitate > 0)
    mean, log_std = agent.actor(batch.state, agent.actor.codes(agent.table, batch.instruction))
    nll = -log_density(agent.config.networks.policy, mean, log_std, batch.action, agent.config.action_limit)
    return nll[chosen], (torch.tanh(mean) - batch.action).square().mean(-1)[chosen]


def _cloning_figures(agent: Agent, nll: Tensor, squared: Tensor) -> dict[str, float]:
    figures = {"action_error": float(squared.mean().sqrt())}
    if agent.config.networks.policy != "deterministic":
        figures["clone_nll"] = float(nll.mean())
    return figures


def _td(agent: Agent, batch: Batch, generator: torch.Generator) -> float:
    """The critics' loss against their targets, without regularisers."""
    phase = replace(agent.config.phase(agent.phase), cql_alpha=0.0, cql_gap=None)
    draws = draw_for_critic(agent.config, phase, batch.action.shape, generator)
    _, metrics = critic_objective(
        agent.config, phase, agent.models(), batch, draws, torch.zeros((), device=agent.device)
    )
    return float(metrics["critic/td"])


def _q(agent: Agent, batch: Batch) -> Tensor:
    """Q(s, a) of the batch's actions, (B,): mean of the ensemble."""
    networks = agent.config.networks
    tensors = agent.critics.tensors()
    return ensemble_values(networks, tensors, batch.state, agent.table, batch.instruction, batch.action).mean(0)


def _value_figures(q: Tensor, returns: Tensor) -> dict[str, float]:
    both = torch.stack([q, returns]).double()
    return {
        "q": float(q.mean()),
        "return": float(returns.mean()),
        "q_error": float((both[0] - both[1]).square().mean().sqrt()),
        "q_correlation": float(torch.corrcoef(both)[0, 1]) if q.numel() > 1 else math.nan,
    }
