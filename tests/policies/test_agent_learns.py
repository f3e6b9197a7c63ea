"""The whole learner on a point that has to reach a goal: from scratch, and from few demonstrations on."""

import numpy as np
import pytest
import torch

from policies.agent import Agent
from policies.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.mix import MixedReplay
from policies.replay import Replay
from trajectories.types import Source

GAMMA, STEPS, STRIDE, RADIUS = 0.95, 10, 0.3, 0.25
NETWORKS = NetworkConfig(actor_hidden=(64, 64), critic_hidden=(64, 64), critics=4)
TABLE = torch.ones(1, 2)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_episode(choose, rng):
    """Columns of one episode; a reward of -1 a step, 0 on arrival, which terminates."""
    point, goal = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2)
    states, actions, arrived = [np.concatenate([point, goal])], [], False
    while not arrived and len(actions) < STEPS:
        actions.append(choose(states[-1].astype(np.float32)))
        point = np.clip(point + STRIDE * actions[-1] + rng.normal(0, 0.01, 2), -1, 1)
        states.append(np.concatenate([point, goal]))
        arrived = bool(np.linalg.norm(point - goal) < RADIUS)
    last = np.arange(len(actions)) == len(actions) - 1
    rewards = np.where(last & arrived, 0.0, -1.0).astype(np.float32)
    left = np.arange(len(actions), 0, -1) - 1  # steps to go before the last one
    successful = -(1 - GAMMA**left) / (1 - GAMMA)
    returns = successful if arrived else np.full(len(actions), -1 / (1 - GAMMA))
    columns = {
        "observation": {"state": np.array(states, np.float32)},
        "executed": np.array(actions, np.float32),
        "rewards": rewards,
        "terminated": last & arrived,
        "truncated": last & (not arrived),
        "mc_returns": returns.astype(np.float32),
        "instruction": 0,
    }
    return columns, arrived


def make_replay(seed):
    return Replay(20_000, {"state": ((4,), torch.float32)}, gamma=GAMMA, action_size=2, seed=seed)


def make_agent(seed, rate=1e-3, **changes):
    rates = {"actor_lr": rate, "critic_lr": rate, "temperature_lr": rate}
    config = AgentConfig(networks=NETWORKS, gamma=GAMMA, tau=0.02, **rates, **changes)
    agent = Agent(config, 4, 2, 2, seed=seed)
    agent.set_instructions(TABLE)
    return agent


def chooser(agent, deterministic=False):
    return lambda state: agent.act(torch.from_numpy(state)[None], TABLE, deterministic)[0].numpy()


def success(agent, episodes=40):
    rng = np.random.default_rng(1234)
    return np.mean([run_episode(chooser(agent, True), rng)[1] for _ in range(episodes)])


def practise(agent, replay, online, steps, seed, utd):
    rng, done = np.random.default_rng(seed), 0
    while done < steps:
        columns, _ = run_episode(chooser(agent), rng)
        online.add_episode(**columns, source=np.full(len(columns["executed"]), Source.POLICY, np.uint8))
        for _ in range(len(columns["executed"])):
            done += 1
            if len(online) >= 100:
                agent.online_update(replay.sample(128), utd)


def demonstrations(replay, good, random, seed):
    rng = np.random.default_rng(seed)

    def expert(state):
        wanted = (state[2:] - state[:2]) / STRIDE + rng.normal(0, 0.5, 2)
        return np.clip(wanted, -1, 1).astype(np.float32)

    def anything(_):
        return rng.uniform(-1, 1, 2).astype(np.float32)

    for choose, count, source in ((expert, good, Source.EXPERT), (anything, random, Source.POLICY)):
        for _ in range(count):
            columns, _ = run_episode(choose, rng)
            replay.add_episode(**columns, source=np.full(len(columns["executed"]), source, np.uint8))


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
        agent.pretrain_update(offline.sample(128))
    before = success(agent)
    assert before > 0.3
    agent.set_phase("online")
    practise(agent, MixedReplay(online, offline, retained), online, 500, seed=1, utd=2)
    after = success(agent)
    assert after > max(expected, before + 0.1)
