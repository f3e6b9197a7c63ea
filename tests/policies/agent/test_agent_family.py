"""The agent under every method: what an update touches, exact resumption, acting, and no waiting for the device."""

import dataclasses

import pytest
import torch
from helpers.small_agent import batch
from torch.utils._python_dispatch import TorchDispatchMode

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig, HistogramConfig, NetworkConfig, PhaseConfig
from policies.agent.methods import METHODS, classified, method
from policies.common.tensor_file import digest
from trajectories.errors import ConfigError
from trajectories.types import RobotSpec

F, A = 4, 2
TD3_BC = method("td3bc", A).agent


def small(name, bins=False, action_size=A):
    """A method with networks of a few units."""
    agent = method(name, action_size).agent
    value = None if agent.networks.value_hidden is None else (5,)
    networks = dataclasses.replace(agent.networks, actor_hidden=(8,), critic_hidden=(6, 4), value_hidden=value)
    agent = dataclasses.replace(agent, networks=networks)
    return classified(agent, -10.0, 2.0, 13) if bins else agent


CONFIGS = [pytest.param(name, bins, id=name + "-bins" * bins) for name in METHODS.own for bins in (False, True)]


def make(config, embedding=0, action_size=A, seed=0):
    agent = Agent(config, F, embedding, action_size, seed=seed)
    if embedding:
        agent.set_instructions(torch.randn(3, embedding, generator=torch.Generator().manual_seed(9)))
    return agent


def train(agent, updates, seed, action_size=A):
    for index in range(updates):
        agent.update(batch(8, seed + index, action_size), utd=2)


def content(agent):
    return {name: tensor.clone() for name, tensor in agent.state()[0].items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("name", "bins"), CONFIGS)
def test_training_goes_on_bit_for_bit(name, bins):
    """N updates offline and online, saved; M more are those of the loaded agent."""
    agent, other = make(small(name, bins), embedding=5), make(small(name, bins), embedding=5, seed=7)
    train(agent, 3, seed=0)
    agent.set_phase("online")
    train(agent, 2, seed=10)
    saved, counters = content(agent), agent.state()[1]
    train(agent, 3, seed=20)
    assert not same(saved, content(agent))
    other.load_state(saved, counters)
    train(other, 3, seed=20)
    assert same(content(agent), content(other))
    assert agent.state()[1] == other.state()[1]


@pytest.mark.parametrize("name", ["iql", "td3bc", "wsrl"])
def test_an_agent_without_language_is_saved_to_a_file(tmp_path, name):
    agent = make(small(name, action_size=7), action_size=7)
    train(agent, 2, seed=0, action_size=7)
    save_agent(tmp_path / "a", agent, RobotSpec())
    loaded = load_agent(tmp_path / "a", RobotSpec()).agent
    assert digest(loaded.state()[0]) == digest(agent.state()[0])
    train(agent, 2, seed=5, action_size=7)
    train(loaded, 2, seed=5, action_size=7)
    assert digest(loaded.state()[0]) == digest(agent.state()[0])


class NoWaiting(TorchDispatchMode):
    """Fails on operations whose result the host must have before it goes on."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name()
        if name.split(".")[0] in ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"):
            raise AssertionError(f"an update waits for the device: {name}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "bins"), CONFIGS)
def test_no_update_waits_for_the_device(name, bins):
    agent, b = make(small(name, bins), embedding=5), batch(8)
    with NoWaiting():
        agent.update(b, utd=2)
        agent.set_phase("online")
        metrics = agent.update(b, utd=2)
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())
    with NoWaiting(), pytest.raises(AssertionError, match="waits"):
        float(b.reward.sum())


@pytest.mark.parametrize(("name", "bins"), CONFIGS)
def test_without_language_the_rows_of_the_table_are_not_looked_at(name, bins):
    first, second = make(small(name, bins)), make(small(name, bins))
    b = batch(8)
    first.update(b, utd=2)
    second.update(dataclasses.replace(b, instruction=torch.full((8,), 40)), utd=2)
    assert same(content(first), content(second))
    assert first.act(b.state).shape == (8, A)


def test_an_agent_with_language_wants_to_know_the_instruction():
    with pytest.raises(ConfigError, match="embeddings"):
        make(small("sac"), embedding=5).act(batch(2).state)


def test_td3_moves_actor_and_targets_after_every_second_critic_update():
    agent = make(small("td3bc"))
    start = content(agent)
    agent.update(batch(8), utd=1)
    once = content(agent)
    moved = {name.split(".")[0] for name in once if name in start and not torch.equal(once[name], start[name])}
    assert moved == {"critics", "generator"}
    agent.update(batch(8, seed=1), utd=1)
    twice = content(agent)
    for slow, fast in (("targets", "critics"), ("target_actor", "actor")):
        for name in (name for name in start if name.startswith(slow + ".")):
            new = twice[name.replace(slow, fast, 1)]
            assert torch.allclose(twice[name], 0.995 * start[name] + 0.005 * new, atol=1e-7), name
    assert (agent.critic_updates, agent.actor_updates) == (2, 1)


def test_cloning_alone_trains_no_critic_and_its_slow_actor_follows():
    agent = make(dataclasses.replace(small("td3bc"), offline=small("bc_deterministic").offline))
    start = content(agent)
    assert set(agent.update(batch(8), utd=2)) == {"actor/clone"}
    end = content(agent)
    for name in start:
        part = name.split(".")[0]
        assert torch.equal(start[name], end[name]) == (part not in ("actor", "target_actor")), name


@pytest.mark.parametrize("name", ["iql", "iql_ddpg", "td3bc", "awac", "bc"])
def test_temperature_learns_in_soft_phases_only(name):
    agent = make(small(name))
    before = agent.raw_temperature.item()
    assert "actor/temperature" not in agent.update(batch(8), utd=2)
    assert agent.raw_temperature.item() == before


@pytest.mark.parametrize(("target", "sign"), [(50.0, 1), (-50.0, -1)])
def test_temperature_takes_adams_first_step(target, sign):
    """Whatever the gradient's size, Adam's first step is its step size; up while the entropy is below its target."""
    agent = make(AgentConfig(networks=NetworkConfig(actor_hidden=(8,)), target_entropy=target, temperature_lr=0.01))
    before = agent.raw_temperature.item()
    agent.update_actor(batch(8))
    assert agent.raw_temperature.item() - before == pytest.approx(sign * 0.01, rel=1e-3)


@pytest.mark.parametrize(("gap", "sign"), [(-1e3, 1), (1e3, -1)])
def test_multiplier_takes_adams_first_step_of_its_own_size(gap, sign):
    phase = PhaseConfig(cql_alpha=2.0, cql_gap=gap)
    networks = NetworkConfig(actor_hidden=(8,), critic_hidden=(6,))
    agent = make(AgentConfig(networks=networks, offline=phase, lagrange_lr=0.02, temperature_lr=0.5))
    weight = agent.update_critic(batch(8))["critic/cql_weight"].item()
    assert weight == pytest.approx(2.0 * torch.tensor(sign * 0.02).exp().item(), rel=1e-3)


@pytest.mark.parametrize("name", ["iql", "td3bc", "sac"])
def test_every_policy_acts_within_bounds_and_explores(name):
    config = small(name)
    wide = dataclasses.replace(config.networks, exploration_noise=3.0)
    agent, state = make(dataclasses.replace(config, networks=wide)), batch(64).state
    mode = agent.act(state, deterministic=True)
    assert torch.equal(mode, agent.act(state, deterministic=True))
    explored = agent.act(state)
    assert explored.abs().max() <= 1
    assert (explored - mode).abs().mean() > 0.1


def test_a_deterministic_policy_explores_with_its_noise():
    agent, state = make(small("td3bc")), torch.zeros(4000, F)
    offset = agent.act(state) - agent.act(state, deterministic=True)
    assert offset.std().item() == pytest.approx(0.1, rel=0.05)


def test_iql_fine_tuned_as_sac_keeps_its_value_network_in_the_checkpoint():
    """Phases may differ in kind: what a later phase doesn't use stays as it was."""
    iql = small("iql")
    agent = make(dataclasses.replace(iql, online=PhaseConfig(extraction="soft")))
    train(agent, 2, seed=0)
    before = content(agent)
    agent.set_phase("online")
    train(agent, 2, seed=3)
    after = content(agent)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("value."))
    assert not torch.equal(before["actor.head.weight"], after["actor.head.weight"])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"offline": {"expectile": 0.7}}, "value_hidden"),
        ({"offline": {"expectile": 1.0}}, "expectile"),
        ({"offline": {"expectile": 0.7, "entropy_backup": True}}, "draws no actions"),
        ({"networks": {"policy": "deterministic"}}, "deterministic"),
        ({"networks": {"policy": "softmax"}}, "tanh_gaussian"),
        ({"offline": {"target_noise": 0.2}}, "target_noise"),
        ({"online": {"extraction": "max"}}, "online.extraction=max is unknown; expected one of soft, ddpg"),
        ({"online": {"extraction": "awr", "q_scale": 2.5}}, "q_scale"),
        ({"online": {"actor_q": "first", "actor_critics": 2}}, "actor_critics"),
        ({"online": {"actor_delay": 0}}, "actor_delay"),
        ({"networks": {"critics": 3}, "target_critics": 4, "distinct_targets": True}, "target_critics"),
        ({"networks": {"critic_bins": {"bins": 11, "low": 0.0, "high": 0.0}}}, "low < high"),
        ({"networks": {"exploration_noise": 0.0}}, "exploration_noise"),
        ({"lagrange_lr": 0.0}, "lagrange_lr"),
    ],
)
def test_settings_that_contradict_each_other_are_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        AgentConfig.from_dict(wrong)


def test_histogram_settings_survive_json():
    networks = NetworkConfig(critic_bins=HistogramConfig(11, -23.0, 1.0), value_hidden=(4, 4), std="shared")
    config = AgentConfig(networks=networks, offline=PhaseConfig(expectile=0.7, extraction="awr"))
    assert AgentConfig.from_dict(config.to_dict()) == config
