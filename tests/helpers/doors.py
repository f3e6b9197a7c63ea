"""Episodes that make sense for a WidowX, and `regrasp import` and `export` of them in this process."""

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.exporting.exporting import run as run_export
from commands.importing.importing import run as run_import
from trajectories.labels import sparse_labels
from trajectories.recorder import new_episode_id
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
SPEC = RobotSpec(cameras={"front": (32, 32)})


def recorded(number: int, steps: int) -> Episode:
    """An episode whose numbers make sense for a WidowX: what the formats turn around has to be in range."""
    rng = np.random.default_rng(number)
    outcome = "success" if number % 2 == 0 else "failure"
    rewards, terminated = sparse_labels(steps, outcome)
    truncated = np.zeros(steps, np.bool_)
    truncated[-1] = outcome != "success"
    executed = rng.uniform(-1, 1, (steps, 7)).astype(np.float32)
    executed[:, 6] = np.sign(executed[:, 6])
    proprio = rng.uniform(-0.3, 0.3, (steps + 1, 13)).astype(np.float32)
    proprio[:, 6] = rng.uniform(0, 0.04, steps + 1)
    ramp = np.linspace(0, 200, 32 * 32 * 3).reshape(32, 32, 3)
    images = np.stack([ramp + 50 * t / steps for t in range(steps + 1)]).astype(np.uint8)
    return Episode(
        id=new_episode_id(), task="pot_pick_place", instruction=f"put the pot down, {number}",
        direction="forward" if number % 3 else "backward", outcome=outcome, images={"front": images}, proprio=proprio,
        t_ns=dict.fromkeys(("joints", "front"), np.arange(steps + 1, dtype=np.int64) * 200_000_000),
        proposed=executed, executed=executed, rewards=rewards, terminated=terminated, truncated=truncated,
        source=rng.integers(0, 3, steps).astype(np.uint8), policy_version=np.full(steps, -1, np.int64),
        success_probability=np.full(steps + 1, np.nan, np.float32), metadata={"seed": number},
    )  # fmt: skip


def settings(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, list(overrides))


def do_export(store, to, *overrides, format="lerobot_v3"):
    run_export(settings("export", f"store={store}", f"to={to}", f"format={format}", *overrides))


def do_import(source, into, *overrides, doors="regrasp_lerobot"):
    run_import(settings("import", f"source=[{source}]", f"into={into}", f"doors={doors}", "progress=false", *overrides))


def episodes_of(path):
    with TrajectoryStore(path, read_only=True) as opened:
        return [opened.read(id) for id in opened.ids()]
