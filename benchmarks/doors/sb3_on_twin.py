"""Stable-Baselines3's SAC and its `check_env` on the twin's flat ids and on robosuite's.

    python benchmarks/doors/sb3_on_twin.py [--folder FOLDER] [--steps 300] [--env ID]

Stable-Baselines3 isn't a dependency: an environment of its own is made below FOLDER and kept for the next time; torch
and Gymnasium are borrowed from the environment that runs this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from benchmarks.doors.oracle import environment  # noqa: E402

PACKAGES = ("stable-baselines3==2.7.0", "pandas")
IDS = ("sim.flat_env:regrasp/PotPickPlaceFlat-v0", "sim.robosuite.gym_env:robosuite/Lift-v0")
_TRAIN = """
import sys, gymnasium, stable_baselines3
from stable_baselines3 import SAC
from stable_baselines3.common.env_checker import check_env

name, steps = sys.argv[1], int(sys.argv[2])
images = {"image_size": 48} if "Flat" in name else {"cameras": ["agentview"], "image_size": 48}
env = gymnasium.make(name, max_steps=20, **images)
check_env(env, warn=True, skip_render_check=True)
print(f"{name}: Stable-Baselines3 {stable_baselines3.__version__}, check_env passed")
model = SAC("MultiInputPolicy", env, buffer_size=1000, learning_starts=50, batch_size=32, seed=0, verbose=0)
before = [parameter.detach().clone() for parameter in model.actor.parameters()]
model.learn(steps)
moved = sum(float((now - then).detach().abs().sum()) for now, then in zip(model.actor.parameters(), before))
info = model.ep_info_buffer
print(f"{name}: SAC, {model.num_timesteps} steps, {model._n_updates} updates, {len(info)} episodes, "
      f"mean return {sum(e['r'] for e in info) / len(info):.2f}; the actor moved by {moved:.3g}")
assert moved > 0 and model._n_updates > 0
"""


def main() -> None:
    """Make the environment and run the checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/doors/sb3"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--env", nargs="*", default=IDS)
    asked = parser.parse_args()
    python = environment(asked.folder.resolve(), (), PACKAGES, (sysconfig.get_path("purelib"),))
    for name in asked.env:
        where = {**os.environ, "PYTHONPATH": str(ROOT), "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
        subprocess.run([str(python), "-c", _TRAIN, name, str(asked.steps)], check=True, env=where)


if __name__ == "__main__":
    main()
