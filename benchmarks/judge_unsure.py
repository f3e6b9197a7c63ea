"""How often a run's judge is unsure: on ordinary scenes, and on scenes that training never saw.

    python benchmarks/judge_unsure.py runs/pot_pick_place/seed7
    python benchmarks/judge_unsure.py runs/pot_pick_place/seed7 --streams runs/pot_pick_place/seed8

Successes and failures of the scripted expert are recorded in the twin, the same under every condition: as it is, under
other lights, through a moved camera, with an object or a fixture of another colour, with another object. Each is
judged frame by frame as in a session, which ends with the judge's decision or with the episode. Printed are how many
episodes end unsure, and how many of the others are judged wrongly. With `--streams` the training episodes of other
runs are judged anew: ordinary scenes, and what policies did in them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
from hydra import compose, initialize_config_module

sys.path.append(str(Path(__file__).resolve().parents[1]))

from factory.reward import reward_of
from factory.run_folders import tuning_name
from factory.spec import spec_of, views_of
from rewards.kind import LoadedReward, observations_of
from robot.interfaces import RewardReading
from robot.rollout.environment import RobotEnv
from sim.collect import collect_episode
from sim.experts.failures import FAILURES
from sim.scene.scene import Scene
from sim.scene.surroundings import FRONT_POSITION, FRONT_TARGET, look_at
from sim.tasks import TASKS
from sim.tasks.moving import moving
from sim.twin import Twin
from trajectories.kinds import referee_of
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, Episode, RobotSpec
from trajectories.views import camera_of

Change = Callable[[mujoco.MjModel, np.random.Generator], None]
_SHIFT_M, _AIM_M = 0.04, 0.02


def light(red: float, green: float, blue: float, ambient: float = 1.0) -> Change:
    """Lights of another strength or colour, as factors."""

    def change(model: mujoco.MjModel, rng: np.random.Generator) -> None:
        model.light_diffuse[:] *= np.array([red, green, blue])
        model.vis.headlight.ambient[:] = 0.33 * ambient

    return change


def moved_camera(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """The front camera 4 cm away in any direction, aiming some 2 cm beside."""
    way = rng.normal(size=3)
    place = np.asarray(FRONT_POSITION) + _SHIFT_M * way / np.linalg.norm(way)
    index = model.camera("front").id
    model.cam_pos[index] = place
    model.cam_quat[index] = look_at(place, np.asarray(FRONT_TARGET) + _AIM_M * rng.normal(size=3))


def recoloured(body: str, colour: Sequence[float] | None = None) -> Change:
    """A body of one colour, or with its channels in another order."""

    def change(model: mujoco.MjModel, rng: np.random.Generator) -> None:
        geoms = np.flatnonzero(model.geom_bodyid == model.body(body).id)
        model.geom_rgba[geoms, :3] = model.geom_rgba[geoms, :3][:, [1, 2, 0]] if colour is None else colour

    return change


def nothing(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """As it is."""


def twin_of(task_name: str, spec: RobotSpec, kind: str | None, change: Change) -> Twin:
    """The task's twin, with an object of another kind if given, changed after each draw of a scene."""
    from robot.arms.registry import arm_model

    task, model = moving(TASKS[task_name]), arm_model("wx250s")
    if kind is not None:
        others = tuple(replace(item, kind=kind) if item.name == task.object else item for item in task.scene.objects)
        task = replace(task, scene=replace(task.scene, objects=others))
    scene = Scene(task.scene, seed=1, randomise=True, arm=model)
    draw = scene.randomise

    def randomise(rng: np.random.Generator) -> None:
        draw(rng)
        change(scene.physics.model, np.random.default_rng(rng.integers(2**31)))
        scene.physics.changed()

    scene.randomise = randomise  # type: ignore[method-assign]
    devices = {name: scene.camera(camera_of(name), size) for name, size in spec.cameras.items()}
    env = RobotEnv(scene.arm, devices, scene.clock, spec, model=model)
    return Twin(task, scene, env, "wide", True, np.random.default_rng(1))


def decided(judge: LoadedReward, episode: Episode) -> RewardReading:
    """The reading with which a session would end the episode."""
    judge.reset(episode.instruction)
    reading = RewardReading(0.0, False)
    for observation in observations_of(episode):
        reading = judge.update(observation)
        if reading.done:
            break
    return reading


def report(name: str, judge: LoadedReward, episodes: Sequence[Episode]) -> None:
    """Print a line about these episodes, whose outcomes are the truth."""
    ends = [decided(judge, episode) for episode in episodes]
    unsure = np.array([end.unsure for end in ends])
    wrong = np.array([end.done != (e.outcome == "success") for end, e in zip(ends, episodes, strict=True)])
    print(
        f"{name:24} unsure {unsure.sum():3} of {len(ends):3};  judged wrongly {wrong.sum():3} in all, "
        f"{(wrong & ~unsure).sum():3} of the {(~unsure).sum():3} that it is sure of",
        flush=True,
    )


def main() -> None:
    """Record, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run in the twin with a reward model")
    parser.add_argument("--episodes", type=int, default=10, help="episodes per direction and condition")
    parser.add_argument("--task", default="pot_pick_place")
    parser.add_argument("--object", default="can", help="the other object")
    parser.add_argument("--streams", type=Path, nargs="*", default=[], help="runs whose training episodes are judged")
    given = parser.parse_args()
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("base", [f"run_dir={given.run}", f"task={given.task}"])
    spec, judge = spec_of(config), reward_of(config, spec_of(config))
    print(f"judge of {given.run}, looking through {', '.join(views_of(config))}")
    task = moving(TASKS[given.task])
    conditions: dict[str, tuple[str | None, Change]] = {
        "as it is": (None, nothing),
        "a third of the light": (None, light(0.35, 0.35, 0.35, 0.6)),
        "1.8 times the light": (None, light(1.8, 1.8, 1.8)),
        "warm light": (None, light(1.3, 0.9, 0.55)),
        "moved camera": (None, moved_camera),
        "object recoloured": (None, recoloured(task.object)),
        "fixture recoloured": (None, recoloured(task.scene.fixtures[-1].name, (0.8, 0.2, 0.7))),
        f"another object ({given.object})": (given.object, nothing),
    }
    for name, (kind, change) in conditions.items():
        twin, episodes = twin_of(given.task, spec, kind, change), []
        for index in range(given.episodes):
            failure = FAILURES[(index // 2) % len(FAILURES)] if index % 2 else None
            for direction in DIRECTIONS:
                rng = np.random.default_rng([index, DIRECTIONS.index(direction)])
                episodes.append(collect_episode(twin, direction, rng, noise=0.2, failure=failure, max_steps=60))
        report(name, judge, episodes)
        twin.close()
    for stream in given.streams:
        with TrajectoryStore(stream / f"finetune_{tuning_name(config)}" / "episodes", read_only=True) as store:
            known = [info.id for info in store.infos() if info.outcome != "unknown" and referee_of(info) is not None]
            episodes = [store.read(id) for id in known]
        truth = [referee_of(e) for e in episodes]
        labelled = [
            replace(e, outcome="success" if done else "failure") for e, done in zip(episodes, truth, strict=True)
        ]
        report(f"stream of {stream.name}", judge, labelled)


if __name__ == "__main__":
    main()
