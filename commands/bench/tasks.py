"""The bench tasks: environments with a generator of mediocre data each, small enough for a laptop.

`env=maze` means one of these wherever a Gymnasium id may stand. A new one is one entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from policies.gym.environment import EnvSettings, FlatEnv
from policies.gym.settings import DataSettings
from trajectories.types import Float32

if TYPE_CHECKING:
    from policies.agent.methods import Family

Demonstrator = Callable[[NDArray[np.float64]], Float32]
"""Gives an action for an observation, for one episode."""
MODULES = ("sim.state_env", "gymnasium_robotics")
"""What registers the environments that the commands know by their ids."""


@dataclass(frozen=True)
class BenchTask:
    """A task to compare methods on.

    Attributes:
        summary: For a person.
        env: The environment.
        family: Kind of task that methods' published values are taken for.
        data: Treatment of rewards: those that the family's values were published with.
        hidden: Widths of all hidden layers, instead of the published ones, which take many times as long.
        episodes: Of the data set.
        demonstrate: Makes a demonstrator for the episode that has just begun, mediocre on purpose.
    """

    summary: str
    env: EnvSettings
    family: Family
    data: DataSettings
    episodes: int
    demonstrate: Callable[[FlatEnv, np.random.Generator], Demonstrator]
    hidden: tuple[int, ...] = (64, 64)


@dataclass(frozen=True)
class Wandering:
    """How mediocre the walkers in mazes are.

    Attributes:
        noise: On actions.
        lost: Share of episodes that go somewhere else than to the goal.
    """

    noise: float = 0.5
    lost: float = 0.4

    def __call__(self, env: FlatEnv, rng: np.random.Generator) -> Demonstrator:
        """A walker for one episode."""
        from commands.bench.maze import MazeWalker

        maze = env.unwrapped.maze  # type: ignore[attr-defined]
        goal = None
        if rng.random() < self.lost:
            places = maze.unique_goal_locations
            goal = places[int(rng.integers(len(places)))].copy()
        return MazeWalker(env, rng, self.noise, goal).act


@dataclass(frozen=True)
class Fumbling:
    """How mediocre the twin's scripted expert is made.

    Attributes:
        noise: On actions.
        failing: Share of episodes with a deliberate failure.
    """

    noise: float
    failing: float

    def __call__(self, env: FlatEnv, rng: np.random.Generator) -> Demonstrator:
        """An expert for one episode; it looks at the scene itself."""
        from sim.experts.failures import FAILURES

        failure = FAILURES[int(rng.integers(len(FAILURES)))] if rng.random() < self.failing else None
        expert = env.unwrapped.expert(rng, self.noise, failure)  # type: ignore[attr-defined]
        return lambda observation: expert.act()


def _maze(name: str, max_steps: int, episodes: int) -> BenchTask:
    return BenchTask(
        summary=f"a ball to a place in a maze ({name}), sparse reward, {max_steps} steps",
        env=EnvSettings(f"PointMaze_{name}-v3", {"continuing_task": False}, max_steps, MODULES),
        family="antmaze",
        data=DataSettings(reward_scale=10.0, reward_bias=-5.0),
        episodes=episodes,
        demonstrate=Wandering(),
    )


def _twin(task: str, summary: str, axes: list[str], episodes: int, hand: Fumbling) -> BenchTask:
    """States are metres of very different sizes, so normalised; a gripper of 1 would be 6 before the tanh, so 0.97."""
    return BenchTask(
        summary=f"{summary}, by state, 40 steps",
        env=EnvSettings(f"regrasp/{task}State-v0", {"axes": axes, "max_steps": 40}, None, MODULES),
        family="adroit",
        data=DataSettings(reward_scale=10.0, reward_bias=5.0, normalise=True, action_limit=0.97),
        episodes=episodes,
        demonstrate=hand,
    )


BENCH_TASKS: Mapping[str, BenchTask] = {
    "maze": _maze("Medium", 200, 250),
    "umaze": _maze("UMaze", 120, 200),
    "puck": _twin(
        "PushPuck", "the twin pushes a puck onto the other mat", ["x", "y", "z", "gripper"], 150, Fumbling(0.2, 0.2)
    ),
    "pot": _twin(
        "PotPickPlace", "the twin puts a pot on the rack", ["x", "y", "z", "yaw", "gripper"], 100, Fumbling(0.3, 0.3)
    ),
}
