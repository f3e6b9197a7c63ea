"""The running average of the actor acts, is published and kept; the newest weights learn."""

import dataclasses

import pytest
import torch
from helpers.small_agent import batch, make

from policies.agent.config import AgentConfig
from trajectories.errors import ConfigError

DECAY = 0.75


def averaged(**changes):
    return make(actor_average=DECAY, **changes)


def weights_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def alike(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_the_mean_at_first_and_exponential_then_by_hand():
    agent = averaged()
    expected = weights_of(agent.actor)
    for update in range(6):
        agent.update_by_cloning(batch()) if update % 2 else agent.update(batch())
        step = max(1 - DECAY, 1 / (update + 1))  # 1, 1/2, 1/3, then 1/4
        now = agent.actor.state_dict()
        expected = {name: (1 - step) * tensor + step * now[name] for name, tensor in expected.items()}
        for name, tensor in agent.average.state_dict().items():
            torch.testing.assert_close(tensor, expected[name])
    assert not alike(expected, agent.actor.state_dict())


def test_it_acts_and_is_published():
    agent = averaged()
    for _ in range(3):
        agent.update(batch())
    assert alike(agent.actor_weights(), agent.average.state_dict())
    state, embedding = batch().state, agent.table[batch().instruction]
    seen = agent.act(state, embedding, deterministic=True)
    mean, _ = agent.average(state, agent.average.encode(embedding))
    assert torch.equal(seen, torch.tanh(mean))
    newest, _ = agent.actor(state, agent.actor.encode(embedding))
    assert not torch.equal(seen, torch.tanh(newest))


def test_learning_is_what_it_is_without_one_until_the_phase_ends():
    with_one, without = averaged(), make()
    assert without.average is None
    for _ in range(4):
        with_one.update(batch())
        without.update(batch())
    assert alike(with_one.actor.state_dict(), without.actor.state_dict())
    acted = with_one.actor_weights()
    with_one.set_phase("online")
    assert alike(with_one.actor.state_dict(), acted)
    assert alike(with_one.anchor.state_dict(), acted)


def test_it_is_kept_and_a_checkpoint_of_before_begins_one():
    agent, again, without = averaged(), averaged(), make()
    for _ in range(3):
        agent.update(batch())
        without.update(batch())
    again.load_state(*agent.state())
    assert alike(again.average.state_dict(), agent.average.state_dict())
    for each in (agent, again):
        each.update(batch())
    assert alike(again.average.state_dict(), agent.average.state_dict())
    again.load_state(*without.state())
    assert alike(again.average.state_dict(), without.actor.state_dict())
    none = make()
    none.load_state(*agent.state())
    assert alike(none.actor_weights(), agent.actor.state_dict())


def test_settings_of_before_stay_as_they_were():
    assert "actor_average" not in AgentConfig().to_dict()
    config = dataclasses.replace(AgentConfig(), actor_average=0.99)
    assert AgentConfig.from_dict(config.to_dict()) == config
    for decay in (1.0, -0.1):
        with pytest.raises(ConfigError, match="actor_average"):
            AgentConfig(actor_average=decay)
