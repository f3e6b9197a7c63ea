"""Training moves every trainable tensor of every method, and none that its losses leave out."""

import dataclasses

import pytest
import torch
from helpers.image_batches import TABLE, WORDS, make_encoder, random_batch
from helpers.small_agent import batch

from policies.agent.agent import Agent
from policies.agent.config import PHASES, AgentConfig, NetworkConfig
from policies.agent.methods import METHODS, classified, method
from policies.agent.networks import Actor
from trajectories.errors import ConfigError

F, E, A = 4, 5, 7
DEFAULT = "the robot's"
CASES = [(name, "adroit", bins) for name in (*METHODS.own, DEFAULT) for bins in (False, True)]  # the arm's values
CASES += [(name, "antmaze", False) for name in ("iql", "calql", "wsrl")]  # the regulariser's weight is learned there


def small(name, family, bins=False):
    agent = AgentConfig() if name == DEFAULT else method(name, A, family).agent
    value = None if agent.networks.value_hidden is None else (6, 6)
    networks = dataclasses.replace(agent.networks, actor_hidden=(16, 8), critic_hidden=(16, 8), value_hidden=value)
    phases = {phase: dataclasses.replace(agent.phase(phase), cql_actions=2) for phase in PHASES}
    agent = dataclasses.replace(agent, networks=networks, **phases)
    return classified(agent, -24.0, 24.0, 13) if bins else agent


def parts(agent):
    """Part -> name -> trainable tensor; a parameter that asks for no gradient is trainable all the same."""
    modules = {name: getattr(agent, name) for name in ("actor", "critics", "value")}
    named = {name: dict(module.named_parameters()) for name, module in modules.items() if module is not None}
    if agent.encoder is not None:
        named["encoder"] = {name: entry for name, entry in agent.encoder.named_parameters() if entry.requires_grad}
    return named | {"raw_temperature": {"": agent.raw_temperature}, "log_cql_weight": {"": agent.log_cql_weight}}


def learning(config):
    """The parts that the losses of its phases teach, from what the settings say."""
    phases = [config.phase(name) for name in PHASES]
    taught = {"actor"}
    if any(phase.extraction != "bc" for phase in phases):
        taught.add("critics")
    if any(phase.expectile is not None for phase in phases):
        taught.add("value")
    if any(phase.extraction == "soft" and not phase.critic_only for phase in phases):
        taught.add("raw_temperature")
    if any(phase.cql_gap is not None for phase in phases):
        taught.add("log_cql_weight")
    return taught


def unmoved(agent, draw, updates=8):
    """Names of the tensors of which nothing moves, and of the entries of a shared spread that stay."""
    before = {part: {k: v.detach().clone() for k, v in named.items()} for part, named in parts(agent).items()}
    for number, phase in enumerate(PHASES):
        agent.set_phase(phase)
        for update in range(updates):
            agent.update(draw(100 * number + update), utd=2)
    still = set()
    for part, named in parts(agent).items():
        for name, tensor in named.items():
            same = tensor.detach() == before[part][name]
            if bool(same.all()) or (name == "log_std" and bool(same.any())):
                still.add((part, name))
    return still


@pytest.mark.parametrize(("name", "family", "bins"), CASES)
def test_every_tensor_of_the_method_moves(name, family, bins):
    config = small(name, family, bins)
    agent = Agent(config, F, E, A, seed=3)
    agent.set_instructions(torch.randn(3, E, generator=torch.Generator().manual_seed(9)))
    named, taught = parts(agent), learning(config)
    left_out = {(part, name) for part in named if part not in taught for name in named[part]}
    assert unmoved(agent, lambda seed: batch(32, seed, A)) == left_out


@pytest.mark.parametrize("name", [*METHODS.own, DEFAULT])
def test_every_tensor_of_a_trained_encoder_moves_along(name):
    encoder = make_encoder()
    config = small(name, "adroit")
    agent = Agent(config, encoder.size, WORDS, A, seed=3, encoder=encoder)
    agent.set_instructions(TABLE)
    named, taught = parts(agent), learning(config) | {"encoder"}
    left_out = {(part, name) for part in named if part not in taught for name in named[part]}
    assert unmoved(agent, lambda seed: random_batch(encoder, 8, seed)) == left_out


def test_awacs_spread_starts_half_way_and_is_that_of_rlkit():
    """Min + sigmoid(raw) (max - min): -3 at raw = 0, -6 + 6 / (1 + e^-1) = -1.613648 at 1, slope 6 / 4 at 0."""
    actor = Actor(method("awac", A).agent.networks, F, 0, A)
    state = torch.zeros(1, F)
    log_std = actor(state, None)[1]
    assert torch.equal(log_std, torch.full((1, A), -3.0))
    (slope,) = torch.autograd.grad(log_std.sum(), actor.log_std)
    torch.testing.assert_close(slope, torch.full((A,), 1.5))
    with torch.no_grad():
        actor.log_std.fill_(1.0)
    torch.testing.assert_close(actor(state, None)[1], torch.full((1, A), -1.613648))


@pytest.mark.parametrize("std", ["state", "shared"])
@pytest.mark.parametrize(
    ("low", "high", "bound", "start"),
    [(-5, 2, "clip", 0), (-6, 0, "clip", -3), (0, 2, "clip", 1), (-3, -1, "clip", -2), (-6, 0, "sigmoid", -3)],
)
def test_every_spread_starts_where_it_can_learn(std, low, high, bound, start):
    networks = NetworkConfig(actor_hidden=(8,), std=std, log_std_min=low, log_std_max=high, std_bound=bound)
    torch.manual_seed(0)
    actor = Actor(networks, F, 0, A)
    log_std = actor(torch.zeros(1, F), None)[1]
    torch.testing.assert_close(log_std, torch.full((1, A), float(start)), atol=1e-6, rtol=0)
    log_std.sum().backward()
    grad = actor.log_std.grad if std == "shared" else actor.head.bias.grad[A:]
    assert (grad > 0).all()


def test_a_clip_stays_where_it_is_in_files_and_a_sigmoid_is_named():
    """Digests of policies from before know no `std_bound`."""
    assert "std_bound" not in NetworkConfig().to_dict()
    awac = method("awac", A).agent
    assert awac.to_dict()["networks"]["std_bound"] == "sigmoid"
    before = awac.to_dict()
    del before["networks"]["std_bound"]
    assert AgentConfig.from_dict(before).networks.std_bound == "clip"
    with pytest.raises(ConfigError, match="std_bound='tanh'"):
        NetworkConfig(std_bound="tanh")
