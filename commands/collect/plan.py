"""What `collect` records: a list of jobs that follows from the settings alone, so that it can be resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sim.experts.failures import BORDER, Failure
from trajectories.types import DIRECTIONS, Direction

Kind = Literal["demo", "failure", "prior", "play", "aftermath"]


@dataclass(frozen=True)
class CollectJob:
    """One episode to record.

    Attributes:
        key: Names the job in the store's metadata; the same settings give the same keys.
        task: Task name.
        direction: "forward" or "backward".
        kind: What the episode is for.
        failure: The expert's deliberate failure, or None.
        noise: The expert's action noise, in units of the action.
        seed: Seed of the scene and of the expert.
        max_steps: Time limit of the episode, control steps.
    """

    key: str
    task: str
    direction: Direction
    kind: Kind
    failure: Failure | None
    noise: float
    seed: int
    max_steps: int


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")


def collect_plan(
    *,
    task: str,
    prior_tasks: Sequence[str],
    failures: Sequence[Failure],
    demos: int,
    demo_failures: int,
    prior_episodes: int,
    play: int,
    aftermath: int,
    noise: float,
    seed: int,
    max_steps: int,
) -> list[CollectJob]:
    """The jobs of one run, grouped by task so that a worker seldom changes its scene.

    Args:
        task: The target task.
        prior_tasks: Tasks of the prior data.
        failures: Names of the expert's failure modes, used in turn.
        demos: Successful demonstrations per direction of the target task.
        demo_failures: Deliberate failures per direction of the target task (for the reward model).
        prior_episodes: Episodes per prior task and direction; every fourth is a deliberate failure.
        play: Play episodes of the target task.
        aftermath: Looks from home at what a demonstration left, per direction of the target task, and as many at what
            was left on the goal's border, every second of them within a centimetre of where it begins to count (for the
            reward model).
        noise: The expert's action noise.
        seed: Run seed.
        max_steps: Time limit of an episode, control steps (play has its own).
    """
    jobs: list[CollectJob] = []

    def add(name: str, direction: Direction, kind: Kind, index: int, failure: Failure | None) -> None:
        what = "edge_aftermath" if kind == "aftermath" and failure else kind
        key = f"{name}/{direction}/{what}/{index}/seed{seed}"
        jobs.append(CollectJob(key, name, direction, kind, failure, noise, _seed(key), max_steps))

    for index in range(play):
        add(task, "forward", "play", index, None)
    for direction in DIRECTIONS:
        for index in range(demos):
            add(task, direction, "demo", index, None)
        for index in range(demo_failures):
            add(task, direction, "failure", index, failures[index % len(failures)])
        for index in range(aftermath):  # what was done and what nearly was: a judge has to tell them apart
            add(task, direction, "aftermath", index, None)
            add(task, direction, "aftermath", index, BORDER if index % 2 else "edge")
    for name in prior_tasks:
        for direction in DIRECTIONS:
            for index in range(prior_episodes):
                failure = failures[(index // 4) % len(failures)] if index % 4 == 3 else None
                add(name, direction, "prior", index, failure)
    return jobs
