"""How fast the twin steps on one core, beside robosuite's Lift.

    python benchmarks/twin.py            a table for people
    python benchmarks/twin.py --json     one JSON object on standard output
    python benchmarks/twin.py --parts    where the time of a step goes, without and with an image

An environment step is 200 ms of control: safety filter, kinematics, ten joint targets and 50 physics steps; a step that
opens or closes the gripper lasts until the fingers stand, half a second more. Simulated seconds are those of the
physics' clock, the waits included. Actions are random, the gripper opens and closes; resets are not counted. The
process is bound to one core, which software rendering shares. Each figure is the best of several rounds, as in
`timeit`: slower rounds measure the machine's other work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.twin_parts import timed
from sim.twin import Twin, make_twin
from trajectories.numbers import NS_PER_S
from trajectories.types import Float32

TASK = "pot_pick_place"
EPISODE_STEPS = 40
ROBOSUITE_HZ = 20


def best_rates(round_of_steps: Callable[[], tuple[int, float, float]], rounds: int) -> tuple[float, float]:
    """Steps and simulated seconds per second, each of its fastest round; a round returns both and its seconds."""
    done = [round_of_steps() for _ in range(rounds)]
    return max(steps / seconds for steps, _, seconds in done), max(
        simulated / seconds for _, simulated, seconds in done
    )


def random_action(rng: np.random.Generator) -> Float32:
    """float32 (7,): a random motion of up to half the largest step, the gripper open or closed."""
    action = rng.uniform(-0.5, 0.5, 7).astype(np.float32)
    action[6] = rng.choice([-1.0, 1.0])
    return action


def twin_round(twin: Twin, rng: np.random.Generator, episodes: int) -> tuple[int, float, float]:
    """Steps, simulated seconds and seconds of a few episodes of random actions through the Gymnasium interface."""
    seconds = simulated = 0.0
    physics = twin.scene.physics
    for episode in range(episodes):
        twin.reset("forward" if episode % 2 == 0 else "backward")
        actions = [random_action(rng) for _ in range(EPISODE_STEPS)]
        start, began_ns = time.perf_counter(), physics.now_ns
        for action in actions:
            twin.env.step(action)
        seconds += time.perf_counter() - start
        simulated += (physics.now_ns - began_ns) / NS_PER_S
    return episodes * EPISODE_STEPS, simulated, seconds


def make(cameras: tuple[str, ...]) -> tuple[Twin, np.random.Generator]:
    """The twin with these cameras at 96 x 96 pixels, after a first episode."""
    twin, rng = make_twin(TASK, seed=0, cameras=cameras, image_size=96), np.random.default_rng(0)
    twin_round(twin, rng, 1)
    return twin, rng


def twin_rates(cameras: tuple[str, ...], rounds: int, episodes: int) -> tuple[float, float]:
    """Environment steps and simulated seconds per second of the twin with these cameras at 96 x 96 pixels."""
    twin, rng = make(cameras)
    rates = best_rates(lambda: twin_round(twin, rng, episodes), rounds)
    twin.close()
    return rates


def parts(cameras: tuple[str, ...], rounds: int, episodes: int) -> dict[str, float]:
    """Milliseconds of an environment step, by part, of the fastest round; their sum is the whole step."""
    twin, rng = make(cameras)
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with timed() as spent:
            steps, _, seconds = twin_round(twin, rng, episodes)
        rest = {"the rest": seconds - sum(spent.values())}
        found.append({name: 1e3 * value / steps for name, value in {**spent, **rest}.items()})
    twin.close()
    return min(found, key=lambda one: sum(one.values()))


def robosuite_rate(rounds: int, steps: int) -> float:
    """Simulated seconds per second of robosuite's Lift with a Panda at 20 Hz, without images."""
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

    def one_round() -> tuple[int, float, float]:
        actions = rng.uniform(low, high, (steps, len(low)))
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        return steps, steps / ROBOSUITE_HZ, time.perf_counter() - start

    one_round()
    _, simulated = best_rates(one_round, rounds)
    env.close()
    return simulated


def measure(rounds: int = 5) -> dict[str, float]:
    """All figures: steps per second, and simulated seconds per second."""
    state, simulated = twin_rates((), rounds, episodes=4)
    image, _ = twin_rates(("front",), rounds, episodes=4)
    lift = robosuite_rate(rounds, steps=60)
    return {
        "state_steps_per_s": round(state, 1),
        "image96_steps_per_s": round(image, 1),
        "sim_s_per_s": round(simulated, 2),
        "robosuite_sim_s_per_s": round(lift, 2),
    }


def print_parts(rounds: int, as_json: bool) -> None:
    """A line for each part: milliseconds of a step without and with an image."""
    without, image = parts((), rounds, episodes=4), parts(("front",), rounds, episodes=4)
    if as_json:
        print(json.dumps({"without": without, "image": image}))
        return
    print(f"{'milliseconds of an environment step':36} no image  96 x 96")
    for name in image:
        print(f"{name:36} {without.get(name, 0.0):8.3f} {image[name]:8.3f}")
    print(f"{'all':36} {sum(without.values()):8.3f} {sum(image.values()):8.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the best is taken of (default 5)")
    parser.add_argument("--parts", action="store_true", help="where the time of a step goes")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.parts:
        print_parts(options.rounds, options.json)
        return
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"twin ({TASK}), one core, a step is 0.2 s, and longer where the fingers move")
    print(f"  without images            {figures['state_steps_per_s']:8.0f} env steps/s")
    print(f"  one 96 x 96 image a step  {figures['image96_steps_per_s']:8.0f} env steps/s")
    print("simulated seconds per second, without images")
    print(f"  twin                      {figures['sim_s_per_s']:8.1f}")
    print(f"  robosuite Lift, Panda     {figures['robosuite_sim_s_per_s']:8.1f}")


if __name__ == "__main__":
    main()
