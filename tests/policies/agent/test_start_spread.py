"""A phase may begin with a narrower policy: what acts, what learns and the anchor, once, and the means stay."""

import dataclasses

import pytest
import torch

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.agent.losses.anchor import anchor_loss
from trajectories.errors import ConfigError

STATE, WORDS = 5, 0


def config(spread=0.5, **networks):
    sizes = {"actor_hidden": (16,), "critic_hidden": (16,), "critics": 2} | networks
    online = PhaseConfig(anchor_weight=1.0, start_spread=spread)
    return AgentConfig(networks=NetworkConfig(**sizes), online=online, actor_average=0.9)


def moments(actor):
    with torch.no_grad():
        return actor(torch.linspace(-2, 2, 3 * STATE).view(3, STATE), None)


@pytest.mark.parametrize("std", ["state", "shared"])
def test_going_online_halves_the_deviations_of_all_that_acts_and_learns_and_leaves_the_means(std):
    agent = Agent(config(std=std), STATE, WORDS, seed=1)
    mean, log_std = moments(agent.acting)
    agent.set_phase("online")
    for actor in (agent.acting, agent.actor, agent.anchor):
        torch.testing.assert_close(moments(actor)[0], mean, rtol=0, atol=0)
        torch.testing.assert_close(moments(actor)[1].exp(), log_std.exp() / 2)
    assert float(anchor_loss(*moments(agent.actor), *moments(agent.anchor), "tanh_gaussian")) == 0
    agent.set_phase("online")
    torch.testing.assert_close(moments(agent.actor)[1].exp(), log_std.exp() / 2)


def test_a_session_that_goes_on_is_not_narrowed_again(tmp_path, spec):
    agent = Agent(config(), STATE, WORDS, seed=1)
    agent.set_phase("online")
    save_agent(tmp_path / "agent.safetensors", agent, spec)
    again = load_agent(tmp_path / "agent.safetensors", spec).agent
    again.set_phase("online")
    torch.testing.assert_close(moments(again.actor), moments(agent.actor), rtol=0, atol=0)


def test_what_stays_as_it_is_is_in_no_file_and_what_changes_is():
    assert "start_spread" not in config(1.0).to_dict()["online"]
    assert AgentConfig.from_dict(config().to_dict()) == config()


@pytest.mark.parametrize(
    "refused",
    [
        lambda: config(0.0),
        lambda: config(1000.0),
        lambda: config(std_bound="sigmoid"),
        lambda: dataclasses.replace(config(), offline=PhaseConfig(start_spread=0.5)),
    ],
)
def test_what_cannot_be_is_refused(refused):
    with pytest.raises(ConfigError, match="start_spread"):
        refused()


def test_a_policy_without_a_spread_is_refused():
    ddpg = PhaseConfig(extraction="ddpg")
    alike = {"networks": NetworkConfig(policy="deterministic"), "offline": ddpg, "warmup": ddpg}
    AgentConfig(**alike, online=ddpg)
    with pytest.raises(ConfigError, match="start_spread"):
        AgentConfig(**alike, online=dataclasses.replace(ddpg, start_spread=0.5))
