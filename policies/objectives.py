"""The losses of one critic and one actor update, composed for a phase; the random draws are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.batch import Batch
from policies.config import AgentConfig, PhaseConfig
from policies.distribution import sample
from policies.losses.actor import actor_loss, aggregate
from policies.losses.anchor import anchor_loss
from policies.losses.bc import balance, clone_mse, clone_nll
from policies.losses.calql import calibrate
from policies.losses.cql import conservative_gap
from policies.losses.td import next_value, td_loss, td_target
from policies.networks import Actor, ensemble_values, select

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class CriticDraws:
    """Randomness of one critic update.

    Attributes:
        targets: int64 (n,) target critics to bootstrap from, or None for all.
        next_noise: float32 (M, B, A) standard normal, for the next state's actions.
        regularised: int64 (n,) critics that get the regulariser, or None for all.
        uniform: float32 (B, M, A) in [-1, 1], or None without the regulariser.
        policy_noise: float32 (2, M, B, A) for this and the next state's actions in it, or None.
    """

    targets: Tensor | None
    next_noise: Tensor
    regularised: Tensor | None
    uniform: Tensor | None
    policy_noise: Tensor | None


_SPREAD_WEIGHT = 0.05
"""Weight of the likelihood that fits the policy's spread while the squared error fits its mean."""


def draw_for_critic(
    config: AgentConfig, phase: PhaseConfig, shape: Sequence[int], generator: torch.Generator
) -> CriticDraws:
    """Draw everything that one critic update of a batch of `shape` (B, A) needs."""
    batch, size = shape
    device, many = generator.device, phase.cql_actions
    backups = many if phase.max_target_backup else 1
    targets = draw_critics(config, config.target_critics, generator)
    next_noise = torch.randn(backups, batch, size, generator=generator, device=device)
    if phase.cql_alpha == 0:
        return CriticDraws(targets, next_noise, None, None, None)
    uniform = torch.rand(batch, many, size, generator=generator, device=device) * 2 - 1
    noise = torch.randn(2, many, batch, size, generator=generator, device=device)
    regularised = draw_critics(config, phase.cql_critics, generator)
    return CriticDraws(targets, next_noise, regularised, uniform, noise)


def draw_critics(config: AgentConfig, count: int | None, generator: torch.Generator) -> Tensor | None:
    """Numbers int64 (count,) of critics drawn with replacement (as in WSRL's reference), or None for all."""
    if count is None:
        return None
    return torch.randint(config.networks.critics, (count,), generator=generator, device=generator.device)


def critic_objective(
    config: AgentConfig,
    phase: PhaseConfig,
    critics: Sequence[Tensor],
    targets: Sequence[Tensor],
    actor: Actor,
    table: Tensor,
    batch: Batch,
    temperature: Tensor,
    cql_weight: Tensor,
    draws: CriticDraws,
) -> tuple[Tensor, Metrics]:
    """TD loss plus, where the phase has it, the (calibrated) conservative regulariser.

    Args:
        config: Of the agent.
        phase: Terms to use.
        critics: `CriticEnsemble.tensors`.
        targets: The same of the target ensemble.
        actor: The policy; gets no gradient.
        table: float32 (K, E) instruction embeddings.
        batch: B transitions.
        temperature: alpha of the entropy backup, scalar.
        cql_weight: Weight of the regulariser, scalar without gradient.
        draws: From `draw_for_critic`.

    Returns:
        The loss and its parts.
    """
    with torch.no_grad():
        codes = actor.encode(table)[batch.instruction]
        after = actor(batch.next_state, codes)
        actions, log_probs = _sample_many(after, draws.next_noise)
        chosen = targets if draws.targets is None else select(targets, draws.targets)
        future = ensemble_values(chosen, batch.next_state, table, batch.instruction, actions)
        value = next_value(future, log_probs, temperature if phase.entropy_backup else None)
        target = td_target(batch.reward, batch.discount, value, config.target_range)
    values = ensemble_values(critics, batch.state, table, batch.instruction, batch.action)
    loss = td = td_loss(values, target)
    metrics = {"critic/td": td.detach(), "critic/q": values.detach().mean(), "critic/target": target.mean()}
    if draws.policy_noise is None or draws.uniform is None:
        return loss, metrics
    with torch.no_grad():
        now = actor(batch.state, codes)
        sampled = [_sample_many(now, draws.policy_noise[0]), _sample_many(after, draws.policy_noise[1])]
        policy_actions = torch.cat([sampled[0][0], sampled[1][0]], 1)
        policy_log_probs = torch.cat([sampled[0][1], sampled[1][1]], 1)
        everything = torch.cat([draws.uniform, policy_actions], 1)
    some = critics if draws.regularised is None else select(critics, draws.regularised)
    data = values if draws.regularised is None else values[draws.regularised]
    all_values = ensemble_values(some, batch.state, table, batch.instruction, everything)
    random, policy = all_values.split([draws.uniform.shape[1], policy_actions.shape[1]], -1)
    bounded = calibrate(policy, batch.mc_return) if phase.calibrated else policy
    correction = policy_log_probs if phase.importance_sampling else None
    gap = conservative_gap(data, random, bounded, correction, everything.shape[-1]).mean()
    metrics |= {"critic/gap": gap.detach(), "critic/q_random": random.detach().mean()}
    metrics["critic/q_policy"] = policy.detach().mean()
    return td + cql_weight * gap, metrics


def _sample_many(moments: tuple[Tensor, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, M, A) and log-probabilities (B, M) from moments (B, A) and noise (M, B, A)."""
    actions, log_probs = sample(*moments, noise)
    return actions.transpose(0, 1), log_probs.transpose(0, 1)


def actor_objective(
    config: AgentConfig,
    phase: PhaseConfig,
    critics: Sequence[Tensor],
    actor: Actor,
    anchor: Actor | None,
    table: Tensor,
    batch: Batch,
    temperature: Tensor,
    anchor_weight: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Metrics]:
    """Soft policy improvement plus, where the phase has them, cloning and the anchor.

    Args:
        config: Of the agent.
        phase: Terms to use.
        critics: Detached `CriticEnsemble.tensors` or some: the gradient reaches the action only.
        actor: The policy.
        anchor: The frozen policy of the phase's start, or None.
        table: float32 (K, E) instruction embeddings.
        batch: B transitions.
        temperature: alpha, scalar without gradient.
        anchor_weight: Present weight of the anchor, scalar.
        noise: float32 (B, A) standard normal.

    Returns:
        The loss, the log-probabilities (B,) without gradient, and the loss's parts.
    """
    mean, log_std = actor(batch.state, actor.encode(table)[batch.instruction])
    action, log_prob = sample(mean, log_std, noise)
    values = ensemble_values(critics, batch.state, table, batch.instruction, action)
    loss = improvement = actor_loss(aggregate(values, phase.actor_q), log_prob, temperature)
    metrics = {"actor/loss": improvement.detach(), "actor/entropy": -log_prob.detach().mean()}
    if phase.bc_weight > 0:
        cloning = clone_objective(config, phase, mean, log_std, batch)
        loss = loss + phase.bc_weight * balance(improvement, cloning) * cloning
        metrics["actor/clone"] = cloning.detach()
    if anchor is not None:
        with torch.no_grad():
            start = anchor(batch.state, anchor.encode(table)[batch.instruction])
        divergence = anchor_loss(mean, log_std, start[0], start[1])
        loss = loss + anchor_weight * divergence
        metrics["actor/anchor_kl"] = divergence.detach()
    return loss, log_prob.detach(), metrics


def clone_objective(config: AgentConfig, phase: PhaseConfig, mean: Tensor, log_std: Tensor, batch: Batch) -> Tensor:
    """The phase's behaviour-cloning loss, unscaled.

    With "mse" the likelihood fits the spread alone: its gradient never reaches the mean, and its value is left out, so
    that the balance with the reinforcement term sees the squared error.
    """
    if phase.bc_loss == "nll":
        return clone_nll(mean, log_std, batch.action, batch.imitate, config.action_limit)
    nll = clone_nll(mean.detach(), log_std, batch.action, batch.imitate, config.action_limit)
    spread = _SPREAD_WEIGHT * nll
    return clone_mse(mean, batch.action, batch.imitate) + spread - spread.detach()
