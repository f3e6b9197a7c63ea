"""How IQL, AWAC, TD3+BC and classifying critics are composed, against numpy on networks of plain matrix products."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import special, stats

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, HistogramConfig, NetworkConfig, PhaseConfig
from policies.agent.draws import CriticDraws, draw_critics, draw_for_actor, draw_for_critic
from policies.agent.losses.lagrange import lagrange_loss
from policies.agent.objectives import actor_objective, critic_objective
from policies.common.batch import Batch

F, A, B = 3, 2, 5
PLAIN = NetworkConfig(actor_hidden=(7,), critic_hidden=(6, 4), critics=3, actor_norm=False, critic_norm=False)
NO_LANGUAGE = torch.zeros(0, 0)
ALPHA = torch.tensor(0.3)


def make(networks, phase, **changes):
    """An agent whose weights all count, in a phase of these terms."""
    config = AgentConfig(networks=networks, offline=phase, warmup=phase, online=phase, target_range=None, **changes)
    agent = Agent(config, F, 0, A, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in (agent.actor, agent.critics, agent.targets, agent.value, agent.target_actor):
            for parameter in module.parameters() if module is not None else ():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return agent


def batch(size=B):
    generator = torch.Generator().manual_seed(3)
    state, after, action = (torch.randn(size, n, generator=generator) for n in (F, F, A))
    return Batch(
        observation={"state": state},
        next_observation={"state": after},
        instruction=torch.zeros(size, dtype=torch.int64),
        action=torch.tanh(action),
        reward=torch.randn(size, generator=generator),
        discount=torch.where(torch.arange(size) == 1, 0.0, 0.9),
        mc_return=torch.randn(size, generator=generator),
        imitate=(torch.arange(size) != 2).float(),
        source=torch.zeros(size, dtype=torch.uint8),
    )


def weights(module):
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


def stacked(module, index, *inputs):
    w, x = weights(module), np.concatenate(inputs, -1)
    parts = [w[f"first.{k}"][index] for k in range(len(inputs))]
    layers = [np.concatenate(parts), *[w[k][index] for k in sorted(w) if k.startswith("weights.")]]
    for number, layer in enumerate(layers):
        x = np.maximum(x @ layer + w[f"biases.{number}"][index], 0)
    if w["out_bias"].ndim == 3:
        return x @ w["out_weight"][index] + w["out_bias"][index]
    return x @ w["out_weight"][index, 0] + w["out_bias"][index, 0]


def head(actor, state):
    w = weights(actor)
    return np.maximum(state @ w["trunk.0.weight"].T + w["trunk.0.bias"], 0) @ w["head.weight"].T + w["head.bias"]


def arrays(b):
    return [t.double().numpy() for t in (b.state, b.action, b.reward, b.discount, b.next_state)]


def critic_loss(agent, b, draws, cql_weight=1.0):
    models = dataclasses.replace(agent.models(), table=NO_LANGUAGE, temperature=ALPHA)
    return critic_objective(agent.config, agent.config.offline, models, b, draws, torch.tensor(cql_weight))


def actor_loss(agent, b, noise):
    critics = agent._critics_for_actor()
    models = dataclasses.replace(agent.models(), critics=critics, table=NO_LANGUAGE, temperature=ALPHA)
    return actor_objective(agent.config, agent.config.offline, models, b, noise, torch.tensor(0.0))


IQL = PhaseConfig(expectile=0.8, extraction="awr", awr_beta=2.0, awr_clip=1.5, actor_q="min")
IQL_NETWORKS = dataclasses.replace(PLAIN, value_hidden=(5,), policy="gaussian", std="shared")


def test_implicit_q_learning_bootstraps_from_the_value_and_never_from_actions():
    agent, b = make(IQL_NETWORKS, IQL), batch()
    draws = draw_for_critic(agent.config, IQL, (B, A), agent.generator)
    assert draws.next_noise is None
    draws = dataclasses.replace(draws, targets=torch.tensor([2, 0]))
    loss, metrics = critic_loss(agent, b, draws)
    s, a, r, discount, after = arrays(b)
    y = r + discount * stacked(agent.value, 0, after)
    td = np.mean([(stacked(agent.critics, i, s, a) - y) ** 2 for i in range(3)])
    u = np.minimum(*[stacked(agent.targets, i, s, a) for i in (2, 0)]) - stacked(agent.value, 0, s)
    assert (u > 0).any()
    assert (u < 0).any()
    expectile = np.mean(np.where(u < 0, 0.2, 0.8) * u**2)
    assert metrics["critic/td"].item() == pytest.approx(td, rel=1e-5)
    assert loss.item() == pytest.approx(td + expectile, rel=1e-5)


def test_value_and_critics_learn_from_their_own_term_only():
    agent, b = make(IQL_NETWORKS, IQL), batch()
    loss, _ = critic_loss(agent, b, CriticDraws(torch.tensor([2, 0]), None, None, None, None))
    loss.backward()
    assert all(p.grad is not None for p in [*agent.critics.parameters(), *agent.value.parameters()])
    assert all(p.grad is None for p in [*agent.targets.parameters(), *agent.actor.parameters()])
    s, a = arrays(b)[:2]
    u = np.min([stacked(agent.targets, i, s, a) for i in (2, 0)], 0) - stacked(agent.value, 0, s)
    assert agent.value.out_bias.grad.item() == pytest.approx(np.mean(-2 * np.where(u < 0, 0.2, 0.8) * u), rel=1e-4)


def test_weighted_cloning_against_the_value_of_the_target_critics():
    agent, b = make(IQL_NETWORKS, IQL), batch()
    assert draw_for_actor(IQL, (B, A), agent.generator) is None
    loss, log_prob, metrics = actor_loss(agent, b, None)
    s, a = arrays(b)[:2]
    advantage = np.min([stacked(agent.targets, i, s, a) for i in range(3)], 0) - stacked(agent.value, 0, s)
    weight = np.minimum(np.exp(2.0 * advantage), 1.5)
    assert 0 < (weight == 1.5).sum() < B
    std = np.exp(weights(agent.actor)["log_std"])
    log_density = stats.norm.logpdf(a, np.tanh(head(agent.actor, s)), std).sum(-1)
    assert log_prob is None
    assert loss.item() == pytest.approx(-np.mean(weight * log_density), rel=1e-5)
    assert metrics["actor/weight"].item() == pytest.approx(weight.mean(), rel=1e-5)


def test_awac_takes_its_baseline_from_an_action_of_the_policy():
    phase = PhaseConfig(extraction="awr", awr_beta=1.7, actor_q="min")
    agent, b = make(dataclasses.replace(PLAIN, policy="gaussian", std="shared"), phase), batch()
    noise = draw_for_actor(phase, (B, A), agent.generator)
    loss, _, metrics = actor_loss(agent, b, noise)
    s, a = arrays(b)[:2]
    mode, std = np.tanh(head(agent.actor, s)), np.exp(weights(agent.actor)["log_std"])
    own = np.clip(mode + std * noise.double().numpy(), -1, 1)
    q, v = (np.min([stacked(agent.critics, i, s, x) for i in range(3)], 0) for x in (a, own))
    weight = np.minimum(np.exp(1.7 * (q - v)), 100)
    assert metrics["actor/advantage"].item() == pytest.approx(np.mean(q - v), rel=1e-4, abs=1e-6)
    assert loss.item() == pytest.approx(-np.mean(weight * stats.norm.logpdf(a, mode, std).sum(-1)), rel=1e-5)


TD3_BC = PhaseConfig(
    extraction="ddpg", actor_q="first", q_scale=2.5, target_noise=0.2, target_noise_clip=0.25, actor_delay=2,
    bc_weight=0.5, bc_balance=False, clone_all=True,
)  # fmt: skip
TD3_NETWORKS = dataclasses.replace(PLAIN, policy="deterministic", target_policy=True, critics=2)


def test_td3_takes_the_noisy_action_of_the_slow_actor():
    agent, b = make(TD3_NETWORKS, TD3_BC, target_critics=None), batch()
    noise = torch.randn(1, B, A, generator=torch.Generator().manual_seed(4))
    loss, _ = critic_loss(agent, b, CriticDraws(None, noise, None, None, None))
    s, a, r, discount, after = arrays(b)
    disturbance = np.clip(0.2 * noise[0].double().numpy(), -0.25, 0.25)
    assert (np.abs(disturbance) == 0.25).any()
    action = np.clip(np.tanh(head(agent.target_actor, after)) + disturbance, -1, 1)
    y = r + discount * np.minimum(*[stacked(agent.targets, i, after, action) for i in range(2)])
    td = np.mean([(stacked(agent.critics, i, s, a) - y) ** 2 for i in range(2)])
    assert loss.item() == pytest.approx(td, rel=1e-5)


def test_td3_bc_weighs_the_value_by_its_mean_size_and_clones_everything():
    agent, b = make(TD3_NETWORKS, TD3_BC), batch()
    loss, _, _ = actor_loss(agent, b, None)
    s, a = arrays(b)[:2]
    mode = np.tanh(head(agent.actor, s))
    q = stacked(agent.critics, 0, s, mode)
    expected = -2.5 / np.abs(q).mean() * q.mean() + 0.5 * ((mode - a) ** 2).sum(-1).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    marked = dataclasses.replace(TD3_BC, clone_all=False)  # one of the five rows isn't to be imitated
    loss, _, _ = actor_loss(make(TD3_NETWORKS, marked), b, None)
    squared = ((mode - a) ** 2).sum(-1)[[0, 1, 3, 4]].mean()
    assert loss.item() == pytest.approx(-2.5 / np.abs(q).mean() * q.mean() + 0.5 * squared, rel=1e-5)


def test_ddpg_with_a_gaussian_ascends_its_mode_and_clones_by_likelihood():
    """DDPG+BC as its paper writes it: Q at the mode, the likelihood with the policy's own spread."""
    phase = PhaseConfig(extraction="ddpg", q_scale=1.0, bc_weight=0.7, bc_balance=False, bc_loss="nll", clone_all=True)
    agent, b = make(dataclasses.replace(PLAIN, policy="gaussian", std="shared"), phase), batch()
    loss, _, _ = actor_loss(agent, b, None)
    s, a = arrays(b)[:2]
    mode, std = np.tanh(head(agent.actor, s)), np.exp(weights(agent.actor)["log_std"])
    q = np.mean([stacked(agent.critics, i, s, mode) for i in range(3)], 0)
    nll = -stats.norm.logpdf(a, mode, std).sum(-1).mean()
    assert loss.item() == pytest.approx(-q.mean() / np.abs(q).mean() + 0.7 * nll, rel=1e-5)


def test_classifying_critics_fit_the_projected_target_and_are_regularised_by_their_means():
    """HL-Gauss under TD with a subset minimum and under CQL, both on expected values."""
    networks = dataclasses.replace(PLAIN, critic_bins=HistogramConfig(8, -2.0, 2.0))
    phase = PhaseConfig(cql_alpha=1.5, cql_actions=2, calibrated=True, cql_critics=None)
    agent, b = make(networks, phase), batch()
    g = torch.Generator().manual_seed(6)
    draws = CriticDraws(
        torch.tensor([1, 2]), torch.randn(1, B, A, generator=g), None, torch.rand(B, 2, A, generator=g) * 2 - 1,
        torch.randn(2, 2, B, A, generator=g),
    )  # fmt: skip
    loss, metrics = critic_loss(agent, b, draws, 1.5)
    s, a, r, discount, after = arrays(b)
    edges, sigma = np.linspace(-2, 2, 9), 0.75 * 0.5
    centres = (edges[1:] + edges[:-1]) / 2

    def mean(module, i, state, action):
        return special.softmax(stacked(module, i, state, action), -1) @ centres

    def policy(state, noise):
        out = head(agent.actor, state)
        mu, log_std = out[:, :A], np.clip(out[:, A:], -5, 2)
        action = np.tanh(mu + np.exp(log_std) * noise)
        return action, (stats.norm.logpdf(noise) - log_std - np.log(1 - action**2)).sum(-1)

    action, _ = policy(after, draws.next_noise[0].double().numpy())
    y = r + discount * np.minimum(*[mean(agent.targets, i, after, action) for i in (1, 2)])
    cdf = stats.norm.cdf(edges, np.clip(y, -2, 2)[:, None], sigma)
    target = np.diff(cdf) / (cdf[:, -1:] - cdf[:, :1])
    fit = np.mean([-(target * special.log_softmax(stacked(agent.critics, i, s, a), -1)).sum(-1) for i in range(3)])
    gaps = []
    for i in range(3):
        uniform = draws.uniform.double().numpy()
        terms = [mean(agent.critics, i, s, uniform[:, m]) + A * np.log(2) for m in range(2)]
        for k, state in enumerate((s, after)):
            for m in range(2):
                own, log_prob = policy(state, draws.policy_noise[k, m].double().numpy())
                terms.append(np.maximum(mean(agent.critics, i, s, own), b.mc_return.numpy()) - log_prob)
        gaps.append(special.logsumexp(terms, 0) - mean(agent.critics, i, s, a))
    assert metrics["critic/td"].item() == pytest.approx(fit, rel=1e-5)
    assert metrics["critic/gap"].item() == pytest.approx(np.mean(gaps), rel=1e-4)
    assert loss.item() == pytest.approx(fit + 1.5 * np.mean(gaps), rel=1e-4)


def test_distinct_targets_are_distinct_and_uniform():
    config = AgentConfig(networks=dataclasses.replace(PLAIN, critics=5), target_critics=2, distinct_targets=True)
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros((5, 5))
    for _ in range(4000):
        first, second = draw_critics(config, 2, generator, distinct=True).tolist()
        counts[first, second] += 1
    assert np.trace(counts) == 0
    pairs = counts[~np.eye(5, dtype=bool)]
    assert stats.chisquare(pairs).pvalue > 0.01


def test_targets_with_replacement_repeat_a_critic_as_often_as_chance_has_it():
    config = AgentConfig(networks=dataclasses.replace(PLAIN, critics=5))
    generator = torch.Generator().manual_seed(0)
    same = sum(len(set(draw_critics(config, 2, generator).tolist())) == 1 for _ in range(4000))
    assert stats.binomtest(same, 4000, 0.2).pvalue > 0.01


def test_a_multiplier_below_its_gap_shrinks():
    weight = torch.tensor(0.3, requires_grad=True)
    lagrange_loss(weight, torch.tensor(0.5), 0.8).backward()
    assert weight.grad.item() == pytest.approx(np.exp(0.3) * 0.3, rel=1e-6)
