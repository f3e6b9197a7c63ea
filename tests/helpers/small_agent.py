"""An agent of a few units and batches for it."""

import dataclasses

import torch

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig
from policies.agent.methods import method
from policies.common.batch import Batch

NETWORKS = NetworkConfig(actor_hidden=(8,), critic_hidden=(8, 6), critics=3, instruction_width=2)
F, E, A, B, M = 4, 5, 2, 6, 3


def make(seed=0, networks=NETWORKS, device="cpu", **changes):
    agent = Agent(AgentConfig(networks=networks, **changes), F, E, A, seed=seed, device=device)
    agent.set_instructions(torch.randn(3, E, generator=torch.Generator().manual_seed(9)))
    return agent


def small(name, family, compile_):
    """An agent of a published method whose networks are a few units wide."""
    config = method(name, A, family).agent
    networks = config.networks
    value = None if networks.value_hidden is None else (6,)
    networks = dataclasses.replace(
        networks, actor_hidden=(8,), critic_hidden=(8, 6), critics=min(networks.critics, 4), value_hidden=value
    )
    agent = Agent(dataclasses.replace(config, networks=networks, compile=compile_), F, E, A, seed=1)
    agent.set_instructions(torch.randn(3, E, generator=torch.Generator().manual_seed(9)))
    return agent


def batch(size=B, seed=0, action_size=A):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    return Batch(
        observation={"state": random(size, F)},
        next_observation={"state": random(size, F)},
        instruction=torch.arange(size) % 3,
        action=torch.tanh(random(size, action_size)),
        reward=-torch.ones(size),
        discount=torch.where(torch.arange(size) % 3 == 0, 0.0, 0.95),
        mc_return=-torch.arange(size).float(),
        imitate=(torch.arange(size) % 2).float(),
        source=torch.zeros(size, dtype=torch.uint8),
    )


def parameters(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
