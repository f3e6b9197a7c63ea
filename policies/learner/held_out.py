"""How well an agent does on episodes that it isn't trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

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

    def __init__(self, replay: Replay, stores: Mapping[str, int] | None = None) -> None:
        """Keep them.

        Args:
            replay: Filled with these episodes and nothing else.
            stores: Name of each store -> its transitions, in the replay's order; None for one store.
        """
        self._replay = replay
        self._stores = {"": len(replay)} if stores is None else {n: count for n, count in stores.items() if count}

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

        With several stores also `<store>/<figure>` of each.

        Args:
            agent: In any phase.
            critics: Whether to look at the critics, too: not before they have learned anything.
        """
        generator = torch.Generator(device=agent.device).manual_seed(_SEED)
        end = self._replay.added - len(self._replay)
        measured: dict[str, _Measured] = {}
        for name, count in self._stores.items():
            measured[name] = self._measure(agent, critics, generator, end, end + count)
            end += count
        figures = _joined(list(measured.values())).figures(agent)
        if len(measured) > 1:
            for store, own in measured.items():
                figures |= {f"{store}/{name}": value for name, value in own.figures(agent).items()}
        return figures

    def _measure(self, agent: Agent, critics: bool, generator: torch.Generator, first: int, end: int) -> _Measured:
        """The transitions from number `first` on, before number `end`."""
        copied: list[tuple[Tensor, Tensor]] = []
        values: list[tuple[Tensor, Tensor]] = []
        loss = 0.0
        for batch in self._batches(agent, first, end):
            copied.append(_cloning(agent, batch))
            if critics:
                loss += _td(agent, batch, generator) * len(batch)
                values.append((_q(agent, batch), batch.mc_return))
        return _Measured(copied, values, loss, end - first)

    def _batches(self, agent: Agent, start: int, end: int) -> Iterator[Batch]:
        """These transitions in their order, with features, without augmentation."""
        for first in range(start, end, _CHUNK):
            batch = self._replay.gather(torch.arange(first, min(first + _CHUNK, end)))
            if agent.encoder is not None:
                batch = encode_batch(agent.encoder, batch, agent.table, ImageDraws(None, None)).actor
            yield batch


@dataclass(frozen=True)
class _Measured:
    """What figures are computed from.

    Attributes:
        copied: From `_cloning`, of each batch.
        values: Values of actions and their returns, of each batch; empty without critics.
        loss: The critics' loss, summed over transitions.
        count: Transitions.
    """

    copied: list[tuple[Tensor, Tensor]]
    values: list[tuple[Tensor, Tensor]]
    loss: float
    count: int

    def figures(self, agent: Agent) -> dict[str, float]:
        """By name; those that can't be computed are left out."""
        figures = _cloning_figures(agent, *_concatenated(self.copied))
        if self.values:
            figures |= {"td": self.loss / self.count} | _value_figures(*_concatenated(self.values))
        return {name: value for name, value in figures.items() if not math.isnan(value)}


def _joined(parts: list[_Measured]) -> _Measured:
    copied, values = [pair for part in parts for pair in part.copied], [p for part in parts for p in part.values]
    return _Measured(copied, values, sum(part.loss for part in parts), sum(part.count for part in parts))


def _concatenated(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first, second = zip(*parts, strict=True)
    return torch.cat(first), torch.cat(second)


def _cloning(agent: Agent, batch: Batch) -> tuple[Tensor, Tensor]:
    """-log pi(a | s) and the mean squared error of the action, (n,) each, of the batch's n steps worth copying."""
    chosen = agent.config.phase(agent.phase).clone_all | (batch.imitate > 0)
    mean, log_std = agent.acting(batch.state, agent.acting.codes(agent.table, batch.instruction))
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
