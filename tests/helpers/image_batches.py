"""Small encoders, agents and batches of random frames for tests of training on images."""

from __future__ import annotations

import torch

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.batch import Batch
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import frame_fields

torch.set_num_threads(1)
CAMERAS = {"front": (24, 24)}
PROPRIO, WORDS = 4, 5
CNN = EncoderConfig(CnnConfig((8, 8), (2, 1)), width=6, proprio_width=5, displacement=2)
TOWER = EncoderConfig(ClipConfig(width=8), width=6, proprio_width=5)
NETWORKS = NetworkConfig(actor_hidden=(16,), critic_hidden=(16, 8), critics=3)
TABLE = torch.randn(3, WORDS, generator=torch.Generator().manual_seed(9))


def make_encoder(config=CNN, seed=0):
    torch.manual_seed(seed)
    return Encoder(config, CAMERAS, PROPRIO, WORDS)


def make_agent(encoder, **changes):
    """An agent that trains `encoder`; its offline phase regularises and clones."""
    settings = {"offline": PhaseConfig(cql_alpha=1.0, cql_actions=2, bc_weight=1.0), "online": PhaseConfig(), **changes}
    agent = Agent(AgentConfig(networks=NETWORKS, **settings), encoder.size, WORDS, seed=4, encoder=encoder)
    agent.set_instructions(TABLE)
    return agent


def random_frames(fields, count, generator):
    """Field -> (count, ...) of random bytes or numbers."""
    return {
        name: torch.randint(0, 256, (count, *shape), dtype=dtype, generator=generator)
        if dtype == torch.uint8
        else torch.randn(count, *shape, generator=generator).to(dtype)
        for name, (shape, dtype) in fields.items()
    }


def random_batch(encoder, count=8, seed=0):
    """Transitions between frames as replay keeps them for the encoder."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        observation=random_frames(frame_fields(encoder), count, generator),
        next_observation=random_frames(frame_fields(encoder), count, generator),
        instruction=torch.arange(count) % 3,
        action=torch.randn(count, 7, generator=generator).tanh(),
        reward=-torch.ones(count),
        discount=torch.full((count,), 0.95),
        mc_return=-torch.arange(count).float(),
        imitate=(torch.arange(count) % 2).float(),
        source=torch.zeros(count, dtype=torch.uint8),
    )


def snapshot(module):
    """Name -> copy of each tensor."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(before, module):
    """Names of the tensors that aren't what they were."""
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
