"""The losses of one critic and one actor update, composed for a phase; the random draws are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.agent.batch_means import BatchMeans
from policies.agent.config import AgentConfig, PhaseConfig
from policies.agent.distribution import draw, log_density, smoothed
from policies.agent.draws import CriticDraws
from policies.agent.losses.actor import actor_loss, aggregate, deterministic_loss
from policies.agent.losses.anchor import anchor_loss
from policies.agent.losses.awr import advantage_weights, awr_loss
from policies.agent.losses.bc import balance, clone_mse, clone_nll
from policies.agent.losses.calql import calibrate
from policies.agent.losses.cql import conservative_gap
from policies.agent.losses.expectile import expectile_loss
from policies.agent.losses.hl_gauss import cross_entropy, project
from policies.agent.losses.td import next_value, td_loss, td_target
from policies.agent.network_config import PolicyKind
from policies.agent.networks import Actor, edges_of, ensemble_outputs, ensemble_values, select, values_of
from policies.common.batch import Batch

Metrics = dict[str, Tensor]
Moments = tuple[Tensor, Tensor]
_SPREAD_WEIGHT = 0.05
"""Weight of the likelihood that fits the policy's spread while the squared error fits its mean."""


@dataclass(frozen=True)
class Models:
    """The networks that an update computes with; which of them gets a gradient is for the objective to say.

    Attributes:
        actor: The policy.
        critics: `CriticEnsemble.tensors`; for an actor's update detached, and perhaps some of them only.
        targets: The same of the target ensemble.
        table: float32 (K, E) instruction embeddings.
        temperature: alpha, scalar without gradient.
        value: `ValueNetwork.tensors`, which a phase with an expectile needs.
        target_actor: The policy's slow copy that the targets' next actions come from; None for the policy itself.
        anchor: The frozen policy that the actor is kept near; None without.
    """

    actor: Actor
    critics: Sequence[Tensor]
    targets: Sequence[Tensor]
    table: Tensor
    temperature: Tensor
    value: Sequence[Tensor] = ()
    target_actor: Actor | None = None
    anchor: Actor | None = None


def critic_objective(
    config: AgentConfig,
    phase: PhaseConfig,
    models: Models,
    batch: Batch,
    draws: CriticDraws,
    cql_weight: Tensor,
) -> tuple[Tensor, Metrics]:
    """TD loss plus, where the phase has them, the (calibrated) conservative regulariser and the expectile loss.

    Args:
        config: Of the agent.
        phase: Terms to use.
        models: Critics and value network get a gradient, the policies none.
        batch: B transitions.
        draws: From `draw_for_critic`.
        cql_weight: Weight of the regulariser, scalar without gradient.

    Returns:
        The loss and its parts.
    """
    networks, ids, after = config.networks, batch.instruction, None
    actor, critics, targets, value, table = models.actor, models.critics, models.targets, models.value, models.table
    chosen = targets if draws.targets is None else select(targets, draws.targets)
    with torch.no_grad():
        if draws.next_noise is None:
            future = ensemble_values(networks, value, batch.next_state, table, ids, None)[0]
        else:
            after = _moments(models.target_actor or actor, batch.next_state, table, ids)
            actions, log_probs = _next_actions(networks.policy, phase, after, draws.next_noise)
            values = ensemble_values(networks, chosen, batch.next_state, table, ids, actions)
            future = next_value(values, log_probs, models.temperature if phase.entropy_backup else None)
        target = td_target(batch.reward, batch.discount, future, config.target_range)
    outputs = ensemble_outputs(critics, batch.state, table, ids, batch.action, networks.critic_norm)
    values = values_of(outputs, networks.critic_bins)
    loss = td = _fit(config, outputs, target)
    metrics = {"critic/td": td.detach(), "critic/q": values.detach().mean(), "critic/target": target.mean()}
    if phase.expectile is not None:
        state_value = ensemble_values(networks, value, batch.state, table, ids, None)[0]
        with torch.no_grad():
            best = ensemble_values(networks, chosen, batch.state, table, ids, batch.action).amin(0)
        loss = loss + expectile_loss(state_value, best, phase.expectile)
        metrics["critic/v"] = state_value.detach().mean()
    if draws.policy_noise is not None and draws.uniform is not None:
        with torch.no_grad():
            now = _moments(actor, batch.state, table, ids)
            if after is None or models.target_actor is not None:
                after = _moments(actor, batch.next_state, table, ids)
        gap, details = _regulariser(config, phase, models, batch, draws, values, (now, after))
        loss = loss + cql_weight * gap
        metrics |= details
    return loss, metrics


def _fit(config: AgentConfig, outputs: Tensor, target: Tensor) -> Tensor:
    """Squared error of critics that regress, cross-entropy of those that classify."""
    histogram = config.networks.critic_bins
    if histogram is None:
        return td_loss(outputs, target)
    return cross_entropy(outputs, project(target, edges_of(histogram, target), histogram.std)).mean()


def _regulariser(
    config: AgentConfig,
    phase: PhaseConfig,
    models: Models,
    batch: Batch,
    draws: CriticDraws,
    values: Tensor,
    policy: tuple[Moments, Moments],
) -> tuple[Tensor, Metrics]:
    """Mean conservative gap, from the values (N, B) of the data's actions and the policy at this and the next state."""
    uniform, noise, drawn = draws.uniform, draws.policy_noise, draws.regularised
    assert uniform is not None
    assert noise is not None
    with torch.no_grad():
        sampled = [_draw_many(config.networks.policy, policy[i], noise[i]) for i in (0, 1)]
        policy_actions = torch.cat([actions for actions, _ in sampled], 1)
        policy_log_probs = torch.cat([log_probs for _, log_probs in sampled], 1)
        everything = torch.cat([uniform, policy_actions], 1)
    some, data = (models.critics, values) if drawn is None else (select(models.critics, drawn), values[drawn])
    all_values = ensemble_values(config.networks, some, batch.state, models.table, batch.instruction, everything)
    of_uniform, of_policy = all_values.split([uniform.shape[1], policy_actions.shape[1]], -1)
    bounded = calibrate(of_policy, batch.mc_return) if phase.calibrated else of_policy
    correction = policy_log_probs if phase.importance_sampling else None
    gap = conservative_gap(data, of_uniform, bounded, correction, everything.shape[-1]).mean()
    metrics = {"critic/gap": gap.detach(), "critic/q_random": of_uniform.detach().mean()}
    return gap, metrics | {"critic/q_policy": of_policy.detach().mean()}


def _moments(actor: Actor, state: Tensor, table: Tensor, instruction: Tensor) -> Moments:
    return actor(state, actor.codes(table, instruction))


def _next_actions(kind: PolicyKind, phase: PhaseConfig, moments: Moments, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, M, A) of the TD target and their log-probabilities (B, M)."""
    if kind == "deterministic":
        actions = smoothed(moments[0], noise, phase.target_noise, phase.target_noise_clip).transpose(0, 1)
        return actions, actions.new_zeros(actions.shape[:-1])
    return _draw_many(kind, moments, noise)


def _draw_many(kind: PolicyKind, moments: Moments, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, M, A) and log-probabilities (B, M) from moments (B, A) and noise (M, B, A)."""
    actions, log_probs = draw(kind, *moments, noise)
    return actions.transpose(0, 1), log_probs.transpose(0, 1)


def actor_objective(
    config: AgentConfig,
    phase: PhaseConfig,
    models: Models,
    batch: Batch,
    noise: Tensor | None,
    anchor_weight: Tensor,
    means: BatchMeans | None = None,
) -> tuple[Tensor, Tensor | None, Metrics]:
    """Policy improvement plus, where the phase has them, cloning and the anchor.

    Args:
        config: Of the agent.
        phase: Terms to use.
        models: The actor gets a gradient; the critics are detached, so that theirs reaches the action only.
        batch: B transitions.
        noise: From `draw_for_actor`.
        anchor_weight: Present weight of the anchor, scalar.
        means: Of the whole batch where this one is a part of it; None: this one is whole.

    Returns:
        The loss, the log-probabilities (B,) of the sampled actions without gradient (None where the phase is not soft),
        and the loss's parts.
    """
    mean, log_std = moments = _moments(models.actor, batch.state, models.table, batch.instruction)
    if phase.extraction == "awr":
        improvement, metrics = _weighted_cloning(config, phase, models, batch, moments, noise)
        log_prob = None
    else:
        magnitude = None if means is None else means.magnitude
        improvement, log_prob, metrics = _ascent(config, phase, models, batch, moments, noise, magnitude)
    loss = improvement
    if phase.bc_weight > 0:
        cloning = clone_objective(config, phase, mean, log_std, batch, None if means is None else means.copied)
        sizes = (improvement, cloning) if means is None else (means.improvement, means.cloning)
        weighted = balance(*sizes) * cloning if phase.bc_balance else cloning
        loss = loss + phase.bc_weight * weighted
        metrics["actor/clone"] = cloning.detach()
    if models.anchor is not None:
        with torch.no_grad():
            start = _moments(models.anchor, batch.start_state, models.table, batch.instruction)
        divergence = anchor_loss(mean, log_std, *start, config.networks.policy)
        loss = loss + anchor_weight * divergence
        metrics["actor/anchor_kl"] = divergence.detach()
    return loss, log_prob, metrics


@torch.no_grad()
def part_sums(config: AgentConfig, phase: PhaseConfig, models: Models, batch: Batch, noise: Tensor | None) -> Tensor:
    """What a part of a batch adds to `BatchMeans`; arguments as `actor_objective`.

    Returns:
        float32 (4,): steps worth copying, their cloning losses' sum, the improvement's mean loss without a scale, and
        mean |Q|.
    """
    mean, log_std = moments = _moments(models.actor, batch.state, models.table, batch.instruction)
    copied = worth_copying(phase, batch).sum()
    cloned = clone_objective(config, phase, mean, log_std, batch, torch.ones_like(copied))
    if phase.extraction == "awr":
        improvement = _weighted_cloning(config, phase, models, batch, moments, noise)[0]
        return torch.stack([copied, cloned, improvement, torch.zeros_like(copied)])
    value, log_prob = _value_of_policy(config, phase, models, batch, moments, noise)
    if log_prob is None:
        improvement = deterministic_loss(value, None)
    else:
        improvement = actor_loss(value, log_prob, models.temperature)
    return torch.stack([copied, cloned, improvement, value.abs().mean()])


def _value_of_policy(
    config: AgentConfig, phase: PhaseConfig, models: Models, batch: Batch, moments: Moments, noise: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Values (B,) of the policy's actions: of samples with their log-probabilities, or of the most likely ones."""
    log_prob: Tensor | None = None
    if noise is None:
        action = torch.tanh(moments[0])
    else:
        action, log_prob = draw(config.networks.policy, *moments, noise)
    values = ensemble_values(config.networks, models.critics, batch.state, models.table, batch.instruction, action)
    return aggregate(values, phase.actor_q), log_prob


def _ascent(
    config: AgentConfig, phase: PhaseConfig, models: Models, batch: Batch, moments: Moments, noise: Tensor | None,
    magnitude: Tensor | None,
) -> tuple[Tensor, Tensor | None, Metrics]:  # fmt: skip
    """Along the value's gradient: "soft" of a sampled action, "ddpg" of the most likely one."""
    value, log_prob = _value_of_policy(config, phase, models, batch, moments, noise)
    if log_prob is None:
        loss = deterministic_loss(value, phase.q_scale, magnitude)
        return loss, None, {"actor/loss": loss.detach(), "actor/q": value.detach().mean()}
    loss = actor_loss(value, log_prob, models.temperature, phase.q_scale, magnitude)
    return loss, log_prob.detach(), {"actor/loss": loss.detach(), "actor/entropy": -log_prob.detach().mean()}


def _weighted_cloning(
    config: AgentConfig, phase: PhaseConfig, models: Models, batch: Batch, moments: Moments, noise: Tensor | None
) -> tuple[Tensor, Metrics]:
    """Advantage-weighted regression, against an action of the policy (AWAC) or, without noise, the value (IQL)."""
    networks, critics, table, ids = config.networks, models.critics, models.table, batch.instruction
    with torch.no_grad():
        if noise is None:
            values = ensemble_values(networks, critics, batch.state, table, ids, batch.action)
            baseline = ensemble_values(networks, models.value, batch.state, table, ids, None)[0]
            advantage = aggregate(values, phase.actor_q) - baseline
        else:
            both = torch.stack([batch.action, draw(networks.policy, *moments, noise)[0]], 1)
            values = ensemble_values(networks, critics, batch.state, table, ids, both)
            of_data, of_policy = values.unbind(-1)
            advantage = aggregate(of_data, phase.actor_q) - aggregate(of_policy, phase.actor_q)
        weight = advantage_weights(advantage, phase.awr_beta, phase.awr_clip)
    loss = awr_loss(log_density(networks.policy, *moments, batch.action, config.action_limit), weight)
    return loss, {"actor/loss": loss.detach(), "actor/advantage": advantage.mean(), "actor/weight": weight.mean()}


def worth_copying(phase: PhaseConfig, batch: Batch) -> Tensor:
    """float32 (B,) 1 for the steps that the phase clones."""
    return torch.ones_like(batch.imitate) if phase.clone_all else batch.imitate


def clone_objective(
    config: AgentConfig,
    phase: PhaseConfig,
    mean: Tensor,
    log_std: Tensor,
    batch: Batch,
    copied: Tensor | None = None,
) -> Tensor:
    """The phase's behaviour-cloning loss, unscaled.

    With "mse" the likelihood fits the spread alone: its gradient never reaches the mean, and its value is left out, so
    that the balance with the reinforcement term sees the squared error.

    Args:
        config: Of the agent.
        phase: Which loss, and of which steps.
        mean: (B, A) before the tanh.
        log_std: (B, A).
        batch: B transitions.
        copied: See `BatchMeans`; None: the batch is whole.
    """
    kind, limit = config.networks.policy, config.action_limit
    imitate = worth_copying(phase, batch)
    if phase.bc_loss == "nll":
        return clone_nll(mean, log_std, batch.action, imitate, limit, kind, copied)
    squared = clone_mse(mean, batch.action, imitate, copied)
    if kind == "deterministic":
        return squared
    nll = clone_nll(mean.detach(), log_std, batch.action, imitate, limit, kind, copied)
    spread = _SPREAD_WEIGHT * nll
    return squared + spread - spread.detach()
