"""The tasks with a cloth: how often the scripted expert succeeds, how far it stretches the cloth, how fast the twin is.

    python benchmarks/cloth.py --episodes 20 --noise 0 0.3

A row is a task, a direction and a steadiness of the hand (`collect.noise`): episodes from wide starts, seeds from 0,
50 control steps at most. `stretch` is the longest edge of the cloth's net relative to its own length, the largest of
all control steps; `steps/s` are control steps a second of processor time, predicate and expert included, no pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from commands.report.statistics import wilson_interval
from sim.experts.choice import expert_for
from sim.twin import Twin, make_twin
from trajectories.errors import SafetyError
from trajectories.types import DIRECTIONS, Direction

TASKS = ("cloth_folding", "cube_covering")


def episode(twin: Twin, direction: Direction, seed: int, noise: float, most: int) -> tuple[int | None, int, float]:
    """Steps until success (None: it never came), steps made, largest stretch."""
    rng = np.random.default_rng(seed)
    twin.reset(direction, rng)
    expert = expert_for(twin, direction, rng, noise=noise)
    stretch = 1.0
    for step in range(most):
        try:
            twin.env.apply(expert.act(twin.env.observe()))
        except SafetyError as error:
            print(f"seed {seed}: {error}")
            twin.clear_own_faults()
            return None, step, stretch
        stretch = max(stretch, twin.scene.cloth.stretch())
        if twin.success(direction):
            return step + 1, step + 1, stretch
    return None, most, stretch


def main() -> None:
    """Print a table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--steps", type=int, default=50, help="control steps of an episode at most")
    arguments = parser.parse_args()
    print("| task | direction | noise | done | 95 % | steps | stretch | steps/s |\n|---|---|---|---|---|---|---|---|")
    for name in arguments.tasks:
        twin = make_twin(name, seed=3, cameras=())
        for noise in arguments.noise:
            for direction in DIRECTIONS:
                start = time.process_time()
                runs = [episode(twin, direction, seed, noise, arguments.steps) for seed in range(arguments.episodes)]
                rate = sum(made for _, made, _ in runs) / (time.process_time() - start)
                done = [steps for steps, _, _ in runs if steps is not None]
                low, high = wilson_interval(len(done), len(runs))
                mean, stretch = np.mean(done) if done else np.nan, max(most for _, _, most in runs)
                print(f"| {name} | {direction} | {noise} | {len(done)} of {len(runs)} ", end="")
                print(f"| {100 * low:.0f} to {100 * high:.0f} | {mean:.1f} | {stretch:.2f} | {rate:.0f} |", flush=True)
        twin.close()


if __name__ == "__main__":
    main()
