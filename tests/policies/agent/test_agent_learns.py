"""The whole learner on a point that has to reach a goal: from scratch, and from few demonstrations on."""

import numpy as np
import pytest
import torch
from helpers.point_world import GAMMA, demonstrations, make_replay, practise, success

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.replay.mixed_replay import MixedReplay

NETWORKS = NetworkConfig(actor_hidden=(64, 64), critic_hidden=(64, 64), critics=4)
TABLE = torch.ones(1, 2)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_agent(seed, rate=1e-3, **changes):
    rates = {"actor_lr": rate, "critic_lr": rate, "temperature_lr": rate}
    config = AgentConfig(networks=NETWORKS, gamma=GAMMA, tau=0.02, **rates, **changes)
    agent = Agent(config, 4, 2, 2, seed=seed)
    agent.set_instructions(TABLE)
    return agent


def test_soft_actor_critic_learns_from_scratch():
    agent, online = make_agent(1, 2e-3, online=PhaseConfig(), initial_temperature=0.3), make_replay(1)
    agent.set_phase("online")
    assert success(agent) < 0.5
    practise(agent, online, online, 500, seed=1, utd=4)
    assert success(agent) > 0.9


@pytest.mark.parametrize(("retained", "seeds", "expected"), [(0.0, (1,), 0.85), (0.5, (1, 2, 3), 0.75)])
def test_pretraining_then_fine_tuning_gets_better(retained, seeds, expected):
    """WSRL with the anchor (nothing retained), and the RoboFuME variant (Cal-QL continued on a mix).

    Of the variant one seed says little, on another processor, which rounds otherwise, it may gain nothing; nor does a
    start that leaves little to gain. So it has three seeds, and 75 updates offline.
    """
    cal_ql = PhaseConfig(cql_alpha=1.0, cql_actions=4, bc_weight=1.0)
    before, after = [], []
    for seed in seeds:
        agent = make_agent(
            seed, offline=cal_ql, online=cal_ql if retained else PhaseConfig(anchor_weight=1.0, anchor_steps=200)
        )
        offline, online = make_replay(seed), make_replay(seed + 1)
        demonstrations(offline, good=8, random=10, seed=seed)
        for _ in range(75):
            agent.update(offline.sample(128))
        before.append(success(agent))
        agent.set_phase("online")
        practise(agent, MixedReplay(online, offline, retained), online, 500, seed=seed, utd=2)
        after.append(success(agent))
    assert min(before) > 0.3
    assert np.mean(after) > max(expected, np.mean(before) + 0.1)
