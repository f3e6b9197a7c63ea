"""A run's judge at the border of the goal: renders with the object anywhere from inside to outside, truth from physics.

    python benchmarks/judge_border.py runs/pot_pick_place/seed7
    python benchmarks/judge_border.py runs/pot_pick_place/seed7 --streams runs/pot_pick_place/seed8

A state is drawn as for the embedded backbone's captions (`sim.captions`), with the gripper away from the object; one
frame is judged by the classifier's own threshold, under each direction's first wording. With `--streams` the training
episodes of other runs are judged anew, as whole episodes: how many that the predicate calls done are found, and how
many of the others are called done. They ended when the judge of their own run said done, so what is found is a lower
bound.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module

sys.path.append(str(Path(__file__).resolve().parents[1]))

from factory.reward import reward_of
from factory.run_folders import tuning_name
from factory.spec import spec_of
from rewards.classifier import SuccessClassifier
from rewards.debounce import first_done
from rewards.judge import VlmReward
from sim.captions.moving import pose_state
from sim.tasks.moving import moving
from sim.twin import Twin, make_twin
from trajectories.kinds import referee_of
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, Direction
from trajectories.views import camera_of

_EDGES = (-np.inf, 0.0, 0.01, 0.02, 0.03, np.inf)
_SCENES = 20


def overhang_m(twin: Twin, direction: Direction) -> float | None:
    """How far the object's outline reaches over the border of the goal, m; None where that is no fixture."""
    task = moving(twin.task)
    goal = task.goals[direction]
    if not goal.fixture:
        return None
    info, item = twin.scene.fixture(goal.fixture), twin.scene.object(task.object)
    x, y, _ = twin.scene.physics.body_pose(item.name)[0]
    away = np.abs(info.local(x, y))
    beyond = np.linalg.norm(away) - info.half_extent[0] if info.is_round else (away - info.half_extent).max()
    return float(beyond + max(item.half_extent))


def borders(classifier: SuccessClassifier, task: str, states: int, seed: int) -> str:
    """Judge `states` renders of a task in each direction, by a judge with one camera; a Markdown table."""
    rng = np.random.default_rng(seed)
    (view,) = classifier.cameras
    camera = camera_of(view)
    height, width = classifier.spec.cameras[view]
    assert height == width
    rows: dict[Direction, list[tuple[float, bool, bool]]] = {direction: [] for direction in DIRECTIONS}
    for _ in range(_SCENES):
        twin = make_twin(task, seed=int(rng.integers(2**31)), image_size=height, cameras=(camera,))
        twin.reset("forward", rng)
        for _ in range(states // _SCENES):
            facts = pose_state(twin, rng)
            if facts.held_above or facts.touched:
                continue
            image = twin.env.observe().images[camera]
            for direction in DIRECTIONS:
                over = overhang_m(twin, direction)
                if over is None or over > 0.08:  # at the other place
                    continue
                probability = classifier.probabilities(image[None], [twin.task.instructions[direction][0]])[0]
                done = bool(probability >= classifier.threshold.value)
                rows[direction].append((over, moving(twin.task).at_goal(twin.scene, direction), done))
        twin.close()
    lines = ["| direction | at the goal: called done | not: called done | of these over by < 0, 1, 2, 3 cm, more |"]
    lines.append("|---|---|---|---|")
    for direction, found in rows.items():
        right = [done for _, at, done in found if at]
        wrong = [(over, done) for over, at, done in found if not at]
        spans = [[done for over, done in wrong if low <= over < high] for low, high in pairwise(_EDGES)]
        cells = ", ".join(f"{sum(span)} of {len(span)}" for span in spans)
        false = sum(done for _, done in wrong)
        lines.append(f"| {direction} | {sum(right)} of {len(right)} | {false} of {len(wrong)} | {cells} |")
    return "\n".join(lines)


def stream(classifier: SuccessClassifier, store: Path) -> str:
    """Judge the episodes of a fine-tuning anew; a line."""
    counts: Counter[tuple[bool, bool]] = Counter()
    with TrajectoryStore(store, read_only=True) as episodes:
        for info in episodes.infos():
            episode = episodes.read(info.id)
            truth = referee_of(episode)
            if truth is None:
                continue
            values, _ = classifier.of_episode(episode)
            values = np.where(classifier.counts(episode.proprio), values, 0.0)
            done = first_done(values, classifier.threshold.value, classifier.frames) is not None
            counts[bool(truth), done] += 1
    return (
        f"done in truth: {counts[True, True]} of {counts[True, True] + counts[True, False]} found; "
        f"not done: {counts[False, True]} of {counts[False, True] + counts[False, False]} called done"
    )


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, help="folder of a run with a trained judge")
    parser.add_argument("--streams", type=Path, nargs="*", default=[], help="runs whose training episodes are judged")
    parser.add_argument("--task", default="pot_pick_place")
    parser.add_argument("--states", type=int, default=600, help="renders (default 600)")
    parser.add_argument("--seed", type=int, default=777)
    options = parser.parse_args()
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("base", overrides=[f"task={options.task}", f"run_dir={options.run}"])
    judge = reward_of(config, spec_of(config))
    assert isinstance(judge, VlmReward)
    print(borders(judge.classifier, options.task, options.states, options.seed))
    for run in options.streams:
        config.run_dir = str(run)
        print(f"{run}: {stream(judge.classifier, run / f'finetune_{tuning_name(config)}' / 'episodes')}")


if __name__ == "__main__":
    main()
