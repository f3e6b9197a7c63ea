"""Take pictures from home after an episode, which teach a success classifier to judge without the arm in view.

Demonstrations show success with the arm still beside the object, and the arm at home only where all is yet to do. A
classifier that learned from them alone takes the arm's home pose for failure, and a session that asks it whether a
goal is reached already never hears yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot.rollout.environment import RobotEnv
from trajectories.kinds import AFTERMATH, KIND_KEY, PARENT_KEY
from trajectories.recorder import Recorder
from trajectories.types import ACTION_SIZE, Direction, Episode, Outcome, Source


def record_post_episode(
    env: RobotEnv,
    rng: np.random.Generator,
    *,
    task: str,
    direction: Direction,
    outcome: Outcome,
    steps: int,
    source: Source,
    parent: str,
    metadata: Mapping[str, Any] | None = None,
) -> Episode:
    """Go home and record a few control steps of rest, under the instruction of the episode before.

    Args:
        env: The robot; its `instruction` stays.
        rng: Draws the home pose.
        task: Task name.
        direction: Of the episode before.
        outcome: Whether its task is done now.
        steps: Control steps.
        source: Who recorded the episode before.
        parent: Its id.
        metadata: Plain JSON types; the kind and the parent are added.

    Raises:
        SafetyError, StaleDataError: On a fault; nothing is recorded then.
    """
    env.go_home(rng)
    recorder = Recorder(env.robot_spec)
    about = {**(metadata or {}), KIND_KEY: AFTERMATH, PARENT_KEY: parent}
    recorder.begin(env.observe(), task=task, direction=direction, metadata=about)
    rest = np.zeros(ACTION_SIZE, dtype=np.float32)
    rest[6] = 1.0
    for _ in range(steps):
        applied = env.apply(rest)
        recorder.step(env.observe(), rest, applied.executed, source)
    return recorder.finish(outcome, truncated=outcome != "success")
