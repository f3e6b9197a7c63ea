"""The whole learner on a point that has to reach a goal: from scratch, and from few demonstrations on."""

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


@pytest.mark.parametrize(("retained", "expected"), [(0.0, 0.85), (0.5, 0.75)])
def test_pretraining_then_fine_tuning_gets_better(retained, expected):
    """WSRL with the anchor (nothing retained), and the RoboFuME variant (Cal-QL continued on a mix)."""
    cal_ql = PhaseConfig(cql_alpha=1.0, cql_actions=4, bc_weight=1.0)
    agent = make_agent(
        1, offline=cal_ql, online=cal_ql if retained else PhaseConfig(anchor_weight=1.0, anchor_steps=200)
    )
    offline, online = make_replay(1), make_replay(2)
    demonstrations(offline, good=8, random=10, seed=1)
    for _ in range(150):
        agent.update(offline.sample(128))
    before = success(agent)
    assert before > 0.3
    agent.set_phase("online")
    practise(agent, MixedReplay(online, offline, retained), online, 500, seed=1, utd=2)
    after = success(agent)
    assert after > max(expected, before + 0.1)
