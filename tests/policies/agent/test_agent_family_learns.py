"""Every method finds the best action from random ones, or copies demonstrations, in a world of one kind of step.

States and actions are in the square [-1, 1]^2, the reward is -4 |a - s / 2|^2, the next state has nothing to do with
either. The best policy is a = s / 2; one that starts at 0 is 0.17 away (squared) on average, and stays there if it
copies random actions.
"""

import dataclasses

import pytest
import torch

from policies.agent.agent import Agent
from policies.agent.methods import METHODS, classified, method
from policies.common.batch import Batch

UPDATES, SIZE, STEPS = 300, 128, 3000
CASES = [*((name, False) for name in METHODS.own), *((name, True) for name in ("sac", "calql", "iql", "td3bc", "awac"))]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def steps(count, seed, shown):
    """`count` transitions; the share `shown` of them are demonstrations with a little noise, the others are random."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator) * 2 - 1

    state, after = uniform(count, 2), uniform(count, 2)
    expert = torch.arange(count) < shown * count
    action = torch.where(expert[:, None], state / 2 + 0.1 * uniform(count, 2), uniform(count, 2))
    reward = -4 * (action - state / 2).square().sum(-1)
    return Batch(
        observation={"state": state},
        next_observation={"state": after},
        instruction=torch.zeros(count, dtype=torch.int64),
        action=action,
        reward=reward,
        discount=torch.full((count,), 0.5),
        mc_return=reward - 10 / 3,  # random actions get -4 (2/3 + 1/6) a step, and twice that from the next step on
        imitate=expert.float(),
        source=torch.zeros(count, dtype=torch.uint8),
    )


def pick(data, rows):
    columns = {entry.name: getattr(data, entry.name) for entry in dataclasses.fields(Batch)}
    fields = {
        name: {key: tensor[rows] for key, tensor in value.items()} if isinstance(value, dict) else value[rows]
        for name, value in columns.items()
    }
    return Batch(**fields)


def small(name, bins):
    """The method with small networks, faster step sizes, a small temperature and a regulariser of this world's size."""
    config = method(name, 2).agent
    value = None if config.networks.value_hidden is None else (32, 32)
    networks = dataclasses.replace(
        config.networks, actor_hidden=(32, 32), critic_hidden=(32, 32), value_hidden=value,
        critics=min(config.networks.critics, 4),
    )  # fmt: skip
    rates = dict.fromkeys(("actor_lr", "critic_lr", "temperature_lr"), 3e-3)
    config = dataclasses.replace(config, networks=networks, tau=0.05, initial_temperature=0.1, **rates)
    phases = {
        phase: dataclasses.replace(settings, cql_actions=4, cql_alpha=min(settings.cql_alpha, 0.5))
        for phase, settings in (("offline", config.offline), ("online", config.online))
    }
    config = dataclasses.replace(config, **phases)
    return classified(config, -20.0, 4.0, 41) if bins else config


def regret(agent):
    state = steps(500, 99, 0.0).state
    return (agent.act(state, deterministic=True) - state / 2).square().sum(-1).mean().item()


@pytest.mark.parametrize(("name", "bins"), CASES)
def test_the_method_learns(name, bins):
    agent = Agent(small(name, bins), 2, 0, 2, seed=1)
    if not method(name, 2).pretrains:
        agent.set_phase("online")
    data = steps(STEPS, 1, shown={"bc": 1.0, "bc_deterministic": 1.0, "robofume": 0.5}.get(name, 0.0))
    generator = torch.Generator().manual_seed(1)
    assert regret(agent) > 0.15
    for _ in range(UPDATES):
        agent.update(pick(data, torch.randint(STEPS, (SIZE,), generator=generator)), utd=1)
    assert regret(agent) < 0.05
