"""The agent's updates: composition against numpy, what each phase touches, and determinism."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.small_agent import NETWORKS, A, B, E, F, M, batch, make, parameters

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, PhaseConfig, value_range
from policies.agent.draws import CriticDraws
from policies.agent.objectives import actor_objective, clone_objective, critic_objective
from trajectories.errors import ConfigError


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


# The networks and the objectives written once more, in numpy.


def np_layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def np_actor(weights, state, embedding):
    code = embedding @ weights["instruction.weight"].T + weights["instruction.bias"]
    x = np.concatenate([state, code], -1) @ weights["trunk.0.weight"].T + weights["trunk.0.bias"]
    x = np.maximum(np_layer_norm(x) * weights["trunk.1.weight"] + weights["trunk.1.bias"], 0)
    mean, log_std = np.split(x @ weights["head.weight"].T + weights["head.bias"], 2, -1)
    return mean, np.clip(log_std, NETWORKS.log_std_min, NETWORKS.log_std_max)


def np_sample(moments, noise):
    mean, log_std = moments
    u = mean + np.exp(log_std) * noise
    gaussian = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
    return np.tanh(u), (gaussian - np.log1p(-(np.tanh(u) ** 2))).sum(-1)


def np_critic(w, i, state, embedding, action):
    code = embedding @ w["code_weight"][i] + w["code_bias"][i]
    first = np.concatenate([w[f"first.{k}"][i] for k in range(3)])
    x = np.concatenate([state, code, action], -1) @ first + w["biases.0"][i]
    x = np.maximum(np_layer_norm(x) * w["scales.0"][i] + w["shifts.0"][i], 0)
    x = x @ w["weights.0"][i] + w["biases.1"][i]
    x = np.maximum(np_layer_norm(x) * w["scales.1"][i] + w["shifts.1"][i], 0)
    return x @ w["out_weight"][i, 0] + w["out_bias"][i, 0]


def as_numpy(module):
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


def np_critic_objective(agent, phase, b, draws, cql_weight):
    actor, critic, target = as_numpy(agent.actor), as_numpy(agent.critics), as_numpy(agent.targets)
    embedding = agent.table.double().numpy()[b.instruction]
    s, s2, a = (t.double().numpy() for t in (b.state, b.next_state, b.action))
    noise, pnoise, uniform = (t.double().numpy() for t in (draws.next_noise, draws.policy_noise, draws.uniform))
    v = []
    for m in range(len(noise)):
        action, log_prob = np_sample(np_actor(actor, s2, embedding), noise[m])
        q = np.min([np_critic(target, i, s2, embedding, action) for i in draws.targets], 0)
        v.append((q, log_prob))
    q, log_prob = np.array([x for x, _ in v]), np.array([x for _, x in v])
    best = q.argmax(0)
    value = q.max(0)
    if phase.entropy_backup:
        value = value - agent.temperature.item() * log_prob[best, np.arange(B)]
    y = np.clip(b.reward.numpy() + b.discount.numpy() * value, -20, 0)
    td = np.mean([(np_critic(critic, i, s, embedding, a) - y) ** 2 for i in range(3)])
    gaps = []
    for i in draws.regularised:
        terms = [np_critic(critic, i, s, embedding, uniform[:, m]) + A * math.log(2) for m in range(M)]
        for k, state in enumerate((s, s2)):
            for m in range(M):
                action, log_prob = np_sample(np_actor(actor, state, embedding), pnoise[k, m])
                q = np_critic(critic, i, s, embedding, action)  # always valued at this state
                terms.append((np.maximum(q, b.mc_return.numpy()) if phase.calibrated else q) - log_prob)
        gaps.append(np.log(np.exp(terms).sum(0)) - np_critic(critic, i, s, embedding, a))
    return td, np.mean(gaps), td + cql_weight * np.mean(gaps)


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("entropy", [True, False])
@pytest.mark.parametrize("best_of", [1, 4])
def test_critic_objective_is_the_one_in_numpy(calibrated, entropy, best_of):
    agent, b = make(initial_temperature=0.4), batch()
    with torch.no_grad():
        agent.critics.out_bias.sub_(3.0)  # so that some returns are above and some below the values
        agent.actor.head.weight.mul_(50)
    phase = PhaseConfig(cql_alpha=1.7, calibrated=calibrated, entropy_backup=entropy, cql_actions=M)
    g = torch.Generator().manual_seed(5)
    draws = CriticDraws(
        targets=torch.tensor([2, 0]),
        next_noise=torch.randn(best_of, B, A, generator=g),
        regularised=torch.tensor([1, 1, 2]),
        uniform=torch.rand(B, M, A, generator=g) * 2 - 1,
        policy_noise=torch.randn(2, M, B, A, generator=g),
    )
    loss, metrics = critic_objective(agent.config, phase, agent.models(), b, draws, torch.tensor(1.7))
    td, gap, total = np_critic_objective(agent, phase, b, draws, 1.7)
    assert metrics["critic/td"].item() == pytest.approx(td, rel=1e-4)
    assert metrics["critic/gap"].item() == pytest.approx(gap, rel=1e-4)
    assert loss.item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(("how", "scale"), [("mean", None), ("min", None), ("min", 2.5)])
def test_actor_objective_is_the_one_in_numpy(how, scale):
    """Cloning as large as the improvement, or beside an improvement that counts in units of the mean value."""
    agent, b = make(), batch()
    phase = PhaseConfig(
        actor_q=how, q_scale=scale, bc_weight=0.5, bc_balance=scale is None, bc_loss="mse", anchor_weight=1.0
    )
    anchor = make(seed=4).actor
    noise = torch.randn(B, A, generator=torch.Generator().manual_seed(2))
    frozen = [t.detach() for t in agent.critics.tensors()]
    models = dataclasses.replace(agent.models(), critics=frozen, anchor=anchor, temperature=torch.tensor(0.3))
    loss, log_prob, _ = actor_objective(agent.config, phase, models, b, noise, torch.tensor(0.25))
    s, embedding = b.state.double().numpy(), agent.table.double().numpy()[b.instruction]
    mean, log_std = np_actor(as_numpy(agent.actor), s, embedding)
    action, expected = np_sample((mean, log_std), noise.double().numpy())
    critics = as_numpy(agent.critics)
    q = np.array([np_critic(critics, i, s, embedding, action) for i in range(3)])
    q = q.mean(0) if how == "mean" else q.min(0)
    improvement = (0.3 * expected - q).mean() * (1.0 if scale is None else scale / np.abs(q).mean())
    squared = ((np.tanh(mean) - b.action.numpy()) ** 2).sum(-1)[1::2].mean()
    start_mean, start_log_std = np_actor(as_numpy(anchor), s, embedding)
    ratio = np.exp(2 * (log_std - start_log_std))
    distance = (start_mean - mean) ** 2 / np.exp(2 * start_log_std)
    divergence = 0.5 * (ratio + distance - 1 - np.log(ratio)).sum(-1).mean()
    factor = abs(improvement) / max(squared, 0.05) if scale is None else 1.0
    total = improvement + 0.5 * factor * squared + 0.25 * divergence
    assert np.allclose(log_prob.numpy(), expected, atol=1e-4)
    assert loss.item() == pytest.approx(total, rel=1e-4)


def test_critic_update_moves_critics_and_lerps_targets():
    agent = make(tau=0.25)
    actor, before, targets = (parameters(m) for m in (agent.actor, agent.critics, agent.targets))
    assert same(before, targets)
    agent.update_critic(batch())
    after = parameters(agent.critics)
    assert not same(before, after)
    assert same(actor, parameters(agent.actor))
    for name, tensor in parameters(agent.targets).items():
        assert torch.allclose(tensor, 0.75 * targets[name] + 0.25 * after[name], atol=1e-6)


def test_actor_update_leaves_critics_alone():
    agent = make()
    before, raw = parameters(agent.critics), agent.raw_temperature.item()
    agent.update_actor(batch())
    assert same(before, parameters(agent.critics))
    assert all(parameter.grad is None for parameter in agent.critics.parameters())
    assert agent.raw_temperature.item() != raw


def test_warm_up_trains_critics_only():
    agent = make()
    agent.set_phase("warmup")
    actor, critics, raw = parameters(agent.actor), parameters(agent.critics), agent.raw_temperature.item()
    agent.update(batch(8), utd=4)
    assert same(actor, parameters(agent.actor))
    assert raw == agent.raw_temperature.item()
    assert not same(critics, parameters(agent.critics))
    assert (agent.critic_updates, agent.actor_updates) == (4, 0)


def test_update_to_data_ratio_counts():
    agent = make()
    agent.set_phase("online")
    agent.update(batch(8), utd=4)
    assert (agent.critic_updates, agent.actor_updates) == (4, 1)
    with pytest.raises(ConfigError, match="multiple"):
        agent.update(batch(6), utd=4)


def test_going_online_keeps_the_whole_agent():
    """Step 2 of WSRL: parameters, targets, optimiser moments and temperature go on."""
    agent = make()
    for _ in range(3):
        agent.update(batch())
    before, _ = agent.state()
    before = {name: tensor.clone() for name, tensor in before.items()}
    agent.set_phase("online")
    after, _ = agent.state()
    assert same(before, {name: after[name] for name in before})
    assert set(after) - set(before) == {f"anchor.{name}" for name in agent.actor.state_dict()}


def test_online_phase_of_wsrl_has_no_conservative_and_no_cloning_term():
    agent = make()
    assert {"critic/gap", "actor/clone"} <= set(agent.update(batch()))
    agent.set_phase("online")
    assert not {"critic/gap", "actor/clone"} & set(agent.update(batch(), utd=2))


def test_robofume_keeps_calibration_online():
    """A peer switches the calibration off online."""
    config = AgentConfig(networks=NETWORKS, online=AgentConfig().offline)
    assert config.online.calibrated
    assert config.online.cql_alpha > 0
    agent = Agent(config, F, E, A)
    agent.set_instructions(torch.zeros(3, E))
    agent.set_phase("online")
    assert {"critic/gap", "actor/clone"} <= set(agent.update(batch(), utd=1))


def test_terminal_steps_ignore_what_comes_next():
    first, second = make(), make()
    b = batch()
    changed = dataclasses.replace(b, next_observation={"state": b.next_state + 100.0 * (b.discount == 0)[:, None]})
    first.set_phase("online")
    second.set_phase("online")
    assert torch.equal(first.update_critic(b)["critic/td"], second.update_critic(changed)["critic/td"])


def test_anchor_holds_the_policy_and_fades():
    def drift(weight):
        agent = make(online=PhaseConfig(anchor_weight=weight, anchor_steps=30), actor_lr=1e-2)
        agent.set_phase("online")
        start = agent.act(batch().state, agent.table[batch().instruction], deterministic=True)
        for step in range(30):
            assert ("actor/anchor_kl" in agent.update_actor(batch())) == (weight > 0), step
        assert "actor/anchor_kl" not in agent.update_actor(batch())  # faded to nothing
        return (agent.act(batch().state, agent.table[batch().instruction], deterministic=True) - start).abs().mean()

    assert drift(1000.0) < 0.3 * drift(0.0)


def test_anchor_is_the_policy_at_the_switch_and_not_later():
    agent = make()
    agent.update(batch())
    agent.set_phase("online")
    start = parameters(agent.actor)
    agent.update_actor(batch())
    agent.set_phase("online")  # again: nothing happens
    assert same(start, parameters(agent.anchor))
    assert agent.phase_updates == 1


def test_anchor_follows_the_policy_when_asked():
    agent = make(online=PhaseConfig(anchor_weight=1.0, anchor_tau=0.25))
    agent.set_phase("online")
    start = [p.clone() for p in agent.anchor.parameters()]
    agent.update_actor(batch())
    for before, after, policy in zip(start, agent.anchor.parameters(), agent.actor.parameters(), strict=True):
        assert torch.allclose(after, before + 0.25 * (policy - before), atol=1e-7)


def test_an_anchor_that_never_fades_keeps_holding():
    agent = make(online=PhaseConfig(anchor_weight=1.0, anchor_final=0.5, anchor_steps=1))
    agent.set_phase("online")
    for _ in range(3):
        assert "actor/anchor_kl" in agent.update_actor(batch())


def test_lagrange_weight_follows_the_gap():
    agent = make(offline=PhaseConfig(cql_alpha=1.0, cql_gap=1e6, cql_actions=2))
    weights = [agent.update_critic(batch())["critic/cql_weight"].item() for _ in range(3)]
    assert 1.0 > weights[0] > weights[1] > weights[2]


def test_cloning_copies_marked_actions_only():
    agent, b = make(actor_lr=1e-2), batch()
    for _ in range(400):
        agent.update_by_cloning(b)
    error = (agent.act(b.state, agent.table[b.instruction], deterministic=True) - b.action).abs().amax(-1)
    assert error[b.imitate == 1].max() < 0.05
    assert error[b.imitate == 0].max() > 0.2


@pytest.mark.parametrize("actor_critics", [None, 2])
def test_same_seed_same_numbers(actor_critics):
    def digest():
        agent = make(online=PhaseConfig(actor_critics=actor_critics))
        agent.update(batch())
        agent.set_phase("online")
        agent.update(batch(8), utd=2)
        return parameters(agent.actor) | parameters(agent.targets)

    assert same(digest(), digest())


def test_making_an_agent_does_not_touch_the_global_random_state():
    before = torch.get_rng_state()
    make()
    assert torch.equal(before, torch.get_rng_state())


def test_actions_are_bounded_and_stochastic_unless_told():
    agent, b = make(), batch()
    embedding = agent.table[b.instruction]
    once, again = agent.act(b.state, embedding), agent.act(b.state, embedding)
    assert once.abs().max() < 1
    assert not torch.equal(once, again)
    modes = [agent.act(b.state, embedding, deterministic=True) for _ in range(2)]
    assert torch.equal(*modes)


def test_instruction_table_of_another_encoder_is_refused():
    with pytest.raises(ConfigError, match="text encoder"):
        make().set_instructions(torch.zeros(3, E + 1))


def test_metrics_stay_tensors_without_gradient():
    metrics = make().update(batch())
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"gamma": 1.0},
        {"tau": 0.0},
        {"target_range": [0.0, -20.0]},
        {"learning_rate": 1.0},
        {"networks": {"critics": 0}},
        {"online": {"actor_q": "max"}},
        {"online": {"cql_gap": 1.0}},
    ],
)
def test_wrong_settings_are_named(wrong):
    name = next(iter(wrong))
    inner = next(iter(wrong[name])) if isinstance(wrong[name], dict) else name
    with pytest.raises(ConfigError, match=inner):
        AgentConfig.from_dict(wrong)


def test_settings_survive_json():
    config = AgentConfig(networks=NETWORKS, target_range=None, online=PhaseConfig(cql_critics=None))
    assert AgentConfig.from_dict(config.to_dict()) == config
    assert AgentConfig.from_dict({"gamma": 0.9}) == AgentConfig(gamma=0.9)
    assert value_range(0.95) == (-20.0, 0.0)


def test_cloning_by_squared_error_fits_the_spread_without_moving_the_mean():
    config = AgentConfig(networks=NETWORKS, offline=PhaseConfig(bc_loss="mse"))
    mean = torch.zeros(B, A, requires_grad=True)
    log_std = torch.zeros(B, A, requires_grad=True)
    shown = dataclasses.replace(batch(), imitate=torch.ones(B), action=torch.full((B, A), 0.1))
    loss = clone_objective(config, config.offline, mean, log_std, shown)
    assert loss.item() == pytest.approx(A * 0.1**2, rel=1e-5)  # the squared error alone
    loss.backward()
    np.testing.assert_allclose(mean.grad.numpy(), -2 * 0.1 / B, rtol=1e-5)
    # d(-log N(z; 0, s)) / d log s = 1 - z^2 at s = 1, z = atanh(0.1), weighted by 0.05.
    np.testing.assert_allclose(log_std.grad.numpy(), 0.05 * (1 - math.atanh(0.1) ** 2) / B, rtol=1e-4)


def test_an_agent_begins_offline_and_has_no_policy_to_stay_near_then():
    with pytest.raises(ConfigError, match=r"offline\.anchor_weight"):
        AgentConfig(offline=PhaseConfig(anchor_final=0.5))


def test_the_learned_weight_of_the_regulariser_starts_with_the_phase_that_has_one():
    plain = PhaseConfig()
    gap = PhaseConfig(cql_alpha=5.0, cql_gap=0.8)
    assert make(offline=plain, online=gap).log_cql_weight.exp().item() == pytest.approx(5.0)
    assert make(offline=gap, online=plain).log_cql_weight.exp().item() == pytest.approx(5.0)
