"""Bench tasks and their demonstrators: deterministic, mediocre, and in files that the door reads."""

from dataclasses import replace

import numpy as np
import pytest

from commands.bench.data import data_file, record, recorded
from commands.bench.maze import MazeWalker, shortest_path
from commands.bench.tasks import BENCH_TASKS, Wandering
from policies.gym.environment import EnvSettings, interface_of, make_env
from policies.gym.preparation import fitted, read_dataset
from trajectories.errors import ConfigError

MAZE = [
    [1, 1, 1, 1, 1],
    [1, 0, 1, 0, 1],
    [1, 0, "c", 0, 1],
    [1, 1, 1, 1, 1],
]


def test_the_shortest_path_goes_around_walls():
    assert shortest_path(MAZE, (1, 1), (1, 3)) == [(1, 1), (2, 1), (2, 2), (2, 3), (1, 3)]
    assert shortest_path(MAZE, (1, 1), (1, 1)) == [(1, 1)]
    with pytest.raises(ConfigError, match=r"from cell \(1, 1\) to \(0, 0\)"):
        shortest_path(MAZE, (1, 1), (0, 0))


def test_a_steady_walker_always_arrives():
    env = make_env(EnvSettings("PointMaze_Medium-v3", {"continuing_task": False}, 500))
    for seed in range(10):
        observation, _ = env.reset(seed=seed)
        walker = MazeWalker(env, np.random.default_rng(0), 0.0)
        over = terminated = False
        while not over:
            observation, _, terminated, truncated, info = env.step(walker.act(observation))
            over = terminated or truncated
        assert terminated, seed
        assert info["success"]


def test_a_lost_walker_goes_elsewhere():
    task = replace(BENCH_TASKS["umaze"], demonstrate=Wandering(noise=0.0, lost=1.0))
    lost = record(task, 10, 0, "test")
    found = record(replace(task, demonstrate=Wandering(noise=0.0, lost=0.0)), 10, 0, "test")
    assert sum(episode.terminated for episode in lost.episodes) < sum(episode.terminated for episode in found.episodes)


@pytest.mark.parametrize("name", BENCH_TASKS)
def test_data_fit_their_environment_and_are_the_same_for_the_same_seed(name, tmp_path):
    task = BENCH_TASKS[name]
    path = recorded(name, tmp_path, 4, episodes=3)
    assert path == data_file(tmp_path, name, 4)
    env = make_env(task.env)
    data = read_dataset(path, interface_of(env).layout)
    assert data.dropped == 0
    assert len(data.episodes) == 3
    assert data.digest == record(task, 3, 4, "test").digest != record(task, 3, 5, "test").digest
    assert fitted(data, interface_of(env), name).transitions == data.transitions
    before = path.stat().st_mtime_ns
    recorded(name, tmp_path, 4)
    assert path.stat().st_mtime_ns == before
    env.close()


def test_rewards_become_those_that_published_values_are_for():
    for name, worst, best in (("maze", -5.0, 5.0), ("puck", -5.0, 5.0)):
        settings = BENCH_TASKS[name].data
        raw = (0.0, 1.0) if name == "maze" else (-1.0, 0.0)
        assert [settings.reward_scale * r + settings.reward_bias for r in raw] == [worst, best]
