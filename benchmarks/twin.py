"""How fast the twin steps on one core, beside robosuite's Lift.

    python benchmarks/twin.py            a table for people
    python benchmarks/twin.py --json     one JSON object on standard output

An environment step is 200 ms of control: safety filter, kinematics, ten joint targets and 50 physics steps.
Actions are random, the gripper opens and closes; resets are not counted. The process is bound to one core,
which software rendering shares. Each figure is the best of several rounds, as in `timeit`: slower rounds
measure the machine's other work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

from sim.twin import Twin, make_twin
from trajectories.types import Float32

TASK = "pot_pick_place"
EPISODE_STEPS = 40
ROBOSUITE_HZ = 20


def best_rate(round_of_steps: Callable[[], tuple[int, float]], rounds: int) -> float:
    """Steps per second of the fastest round; a round returns its steps and its seconds."""
    return max(steps / seconds for steps, seconds in (round_of_steps() for _ in range(rounds)))


def random_action(rng: np.random.Generator) -> Float32:
    """float32 (7,): a random motion of up to half the largest step, the gripper open or closed."""
    action = rng.uniform(-0.5, 0.5, 7).astype(np.float32)
    action[6] = rng.choice([-1.0, 1.0])
    return action


def twin_round(twin: Twin, rng: np.random.Generator, episodes: int) -> tuple[int, float]:
    """Steps and seconds of a few episodes of random actions through the Gymnasium interface."""
    seconds = 0.0
    for episode in range(episodes):
        twin.reset("forward" if episode % 2 == 0 else "backward")
        actions = [random_action(rng) for _ in range(EPISODE_STEPS)]
        start = time.perf_counter()
        for action in actions:
            twin.env.step(action)
        seconds += time.perf_counter() - start
    return episodes * EPISODE_STEPS, seconds


def twin_rate(cameras: tuple[str, ...], rounds: int, episodes: int) -> float:
    """Environment steps per second of the twin with these cameras at 96 x 96 pixels."""
    twin = make_twin(TASK, seed=0, cameras=cameras, image_size=96)
    rng = np.random.default_rng(0)
    twin_round(twin, rng, 1)
    rate = best_rate(lambda: twin_round(twin, rng, episodes), rounds)
    twin.close()
    return rate


def robosuite_rate(rounds: int, steps: int) -> float:
    """Environment steps per second of robosuite's Lift with a Panda at 20 Hz, without images."""
    with contextlib.redirect_stdout(sys.stderr):
        import robosuite

        env = robosuite.make(
            "Lift",
            robots="Panda",
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            control_freq=ROBOSUITE_HZ,
            ignore_done=True,
        )
        env.reset()
    rng = np.random.default_rng(0)
    low, high = env.action_spec

    def one_round() -> tuple[int, float]:
        actions = rng.uniform(low, high, (steps, len(low)))
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        return steps, time.perf_counter() - start

    one_round()
    rate = best_rate(one_round, rounds)
    env.close()
    return rate


def measure(rounds: int = 5) -> dict[str, float]:
    """All figures: steps per second, and simulated seconds per second."""
    state = twin_rate((), rounds, episodes=4)
    image = twin_rate(("front",), rounds, episodes=4)
    lift = robosuite_rate(rounds, steps=60)
    return {
        "state_steps_per_s": round(state, 1),
        "image96_steps_per_s": round(image, 1),
        "sim_s_per_s": round(state / 5.0, 2),
        "robosuite_sim_s_per_s": round(lift / ROBOSUITE_HZ, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the best is taken of (default 5)")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"twin ({TASK}), one core, a step is 0.2 s")
    print(f"  without images            {figures['state_steps_per_s']:8.0f} env steps/s")
    print(f"  one 96 x 96 image a step  {figures['image96_steps_per_s']:8.0f} env steps/s")
    print("simulated seconds per second, without images")
    print(f"  twin                      {figures['sim_s_per_s']:8.1f}")
    print(f"  robosuite Lift, Panda     {figures['robosuite_sim_s_per_s']:8.1f}")


if __name__ == "__main__":
    main()
