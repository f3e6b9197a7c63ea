"""A point on a line as a Gymnasium environment: small, exact, and with numbers that say where they belong."""

import gymnasium
import numpy as np
from gymnasium import spaces

from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.gym.environment import EnvSettings
from trajectories.flat.episode import FlatDataset, FlatEpisode

SPEED, NEAR = 0.2, 0.15
ENV = EnvSettings("test/Line-v0", max_steps=10, modules=())


class Line(gymnasium.Env):
    """Go to the goal: -1 a step, 0 and the end there. Observes (position, goal); an action of 2 is a whole step."""

    observation_space = spaces.Box(-5, 5, (2,), np.float64)
    action_space = spaces.Box(-2, 2, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at, self._goal = self.np_random.uniform(-1, 1, 2)
        return self._seen(), {}

    def step(self, action):
        self._at += SPEED * float(action[0]) / 2
        there = bool(abs(self._at - self._goal) < NEAR)
        return self._seen(), 0.0 if there else -1.0, there, False, {"success": there}

    def _seen(self):
        return np.array([self._at, self._goal])


gymnasium.register("test/Line-v0", entry_point=Line)


def line_data(episodes=30, seed=0):
    """Half of the actions towards the goal, half anywhere; cut after 10 steps."""
    env, rng = Line(), np.random.default_rng(seed)
    made = []
    for number in range(episodes):
        seen, _ = env.reset(seed=1000 * seed + number)
        rows, actions, rewards, over = [seen], [], [], False
        while not over and len(actions) < 10:
            aim = 2 * np.sign(seen[1] - seen[0])
            action = np.array([aim if rng.random() < 0.5 else rng.uniform(-2, 2)], np.float32)
            seen, reward, over, _, _ = env.step(action)
            rows.append(seen)
            actions.append(action)
            rewards.append(reward)
        columns = (np.asarray(column, np.float32) for column in (rows, actions, rewards))
        made.append(FlatEpisode(*columns, terminated=over))
    return FlatDataset(tuple(made), "line_data")


def small_agent(**changes):
    """Cal-QL, then SAC, in networks of a few hundred weights."""
    values = {
        "networks": NetworkConfig(actor_hidden=(32, 32), critic_hidden=(32, 32), critics=3),
        "gamma": 0.9,
        "target_range": (-10.0, 0.0),
        "actor_lr": 3e-3,
        "critic_lr": 3e-3,
        "offline": PhaseConfig(cql_alpha=0.5, cql_actions=4),
        "warmup": PhaseConfig(critic_only=True),
        "online": PhaseConfig(),
    }
    return AgentConfig(**{**values, **changes})
