"""A point in the plane that has to reach a goal, with a reward of -1 a step and 0 on arrival."""

import numpy as np
import torch

from policies.replay.replay import Replay
from trajectories.types import Source

GAMMA, STEPS, STRIDE, RADIUS = 0.95, 10, 0.3, 0.25


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


def chooser(agent, deterministic=False):
    """Actions of an agent that knows one instruction, or none."""
    embedding = agent.table[:1] if len(agent.table) else None
    return lambda state: agent.act(torch.from_numpy(state)[None], embedding, deterministic)[0].numpy()


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
                agent.update(replay.sample(128), utd)


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
