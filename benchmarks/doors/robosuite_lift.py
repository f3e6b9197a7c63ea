"""Record robosuite's Lift with a scripted expert, in robomimic's format, and print what trains on it.

    python benchmarks/doors/robosuite_lift.py --out runs/robosuite/lift.hdf5 --episodes 200

The expert looks at the cube's true place. `--noise` is the standard deviation of its action noise, `--failing` the
share of episodes in which it misses the cube by a few centimetres: offline methods learn from both. The file has `obs`,
`next_obs`, rewards (1 with success), dones (1 at success and at the last step), states and the scene's XML, as
robomimic's `dataset_states_to_obs.py` writes them with done_mode 2, and masks `train` and `valid`.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sim.robosuite.gym_env import RobosuiteEnv
from trajectories.formats.foreign import ArrayFrames, ForeignEpisode, SinkSettings
from trajectories.formats.robomimic.writer import RobomimicSink
from trajectories.types import Float32, Float64

STEP = 0.05
"""m that robosuite's OSC_POSE moves the hand in a control step for an action of 1."""
ABOVE = 0.08
"""m above the cube from where the hand goes down."""
NEAR = 0.02
"""m within which the hand has arrived: so wide that a policy without memory, which comes nearer, is sure to close."""
CLOSING = 6
"""Control steps that a Panda's fingers get to close."""
VALID = 0.1
TREATMENT = "family=adroit data.reward_scale=10 data.reward_bias=-5 data.normalise=true data.action_limit=0.97"
"""Rewards of -5 and 5, which the family's values are for; a gripper of 1 would be 6 before the tanh, so 0.97."""
METHODS = ("bc", "iql", "calql", "wsrl", "rlpd")
OPEN, CLOSED = -1.0, 1.0


def expert(rng: np.random.Generator, miss: bool) -> Generator[tuple[str, Float64, float], bool | None]:
    """What the hand does: stage, place relative to the cube (3,) in m, gripper; the caller sends whether it arrived."""
    off = np.zeros(3)
    if miss:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.035, 0.06)
        off[:2] = distance * np.cos(angle), distance * np.sin(angle)
    for height in (ABOVE, 0.0):
        while not (yield "reach", off + np.array([0, 0, height]), OPEN):
            pass
    for _ in range(CLOSING):
        yield "close", off, CLOSED
    while True:
        yield "lift", np.zeros(3), CLOSED


def record(env: RobosuiteEnv, rng: np.random.Generator, noise: float, miss: bool) -> tuple[dict[str, Any], bool]:
    """One episode: robomimic's columns, observations with one row more than actions, and whether it succeeded."""
    seen, _ = env.reset(seed=int(rng.integers(2**31)))
    columns: dict[str, list[Any]] = {name: [] for name in ("actions", "rewards", "dones", "states")}
    frames, plan, arrived = [seen], expert(rng, miss), None
    xml, over, success = env.model_xml(), False, False
    while not over:
        stage, place, gripper = next(plan) if arrived is None else plan.send(arrived)
        hand, cube = seen["robot0_eef_pos"], seen["object"][:3]
        error = np.array([0, 0, 0.05]) if stage == "lift" else cube + place - hand
        arrived = stage == "reach" and bool(np.linalg.norm(error) < NEAR)
        motion = np.clip(error / STEP, -1, 1) + noise * rng.standard_normal(3)
        action = np.clip([*motion, *(0.2 * noise * rng.standard_normal(3)), gripper], -1, 1).astype(np.float32)
        columns["states"].append(env.state())
        seen, reward, terminated, truncated, info = env.step(action)
        over, success = terminated or truncated, bool(info["success"])
        for name, value in (("actions", action), ("rewards", reward), ("dones", int(success or over))):
            columns[name].append(value)
        frames.append(seen)
    stacked: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
    return stacked | {f"obs/{key}": np.stack([frame[key] for frame in frames]) for key in seen} | {"xml": xml}, success


def foreign(name: str, columns: dict[str, Any], valid: bool) -> ForeignEpisode:
    """The episode as the writer of robomimic's format takes it."""
    xml = columns.pop("xml")
    images = {key: ArrayFrames(column) for key, column in columns.items() if column.ndim == 4}
    numbers: dict[str, Float32] = {key: column for key, column in columns.items() if key not in images}
    attributes = {"model_file": xml, "masks": ["valid" if valid else "train"]}
    return ForeignEpisode(name, 20.0, numbers, images, ("lift the cube",), attributes)


def main() -> None:
    """Record, and print the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/robosuite/lift.hdf5"))
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--failing", type=float, default=0.3)
    parser.add_argument("--max-steps", type=int, default=100)
    parser.add_argument("--images", action="store_true", help="agentview and eye_in_hand at 84 x 84, as in robomimic")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    cameras = ("agentview", "robot0_eye_in_hand") if asked.images else ()
    env = RobosuiteEnv("Lift", cameras=cameras, max_steps=asked.max_steps)
    settings = SinkSettings(20.0, "Panda", lossless=True, attributes={"env_args": env.environment()})
    successes = 0
    with RobomimicSink(asked.out, settings) as sink:
        for number in tqdm(range(asked.episodes), unit="episode", dynamic_ncols=True):
            rng = np.random.default_rng([asked.seed, number])
            columns, success = record(env, rng, asked.noise, bool(rng.random() < asked.failing))
            successes += success
            sink.write(foreign(f"demo_{number}", columns, bool(rng.random() < VALID)))
    env.close()
    print(f"{asked.out}: {asked.episodes} episodes, {successes} of them successes")
    shared = f"env=robosuite:Lift max_steps={asked.max_steps} dataset={asked.out} {TREATMENT}"
    if asked.images:
        shared += " encoder=cnn '+env_kwargs.cameras=[agentview,robot0_eye_in_hand]'"
    print(f"\nregrasp bench algorithms {shared} method={','.join(METHODS)} seed=0,1,2 out=runs/bench_robosuite")


if __name__ == "__main__":
    main()
