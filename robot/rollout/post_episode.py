"""Take pictures from home after an episode, which teach a success classifier to judge without the arm in view.

Demonstrations show success with the arm still beside the object, and the arm at home only where all is yet to do. A
classifier that learned from them alone takes the arm's home pose for failure, and a session that asks it whether a
goal is reached already never hears yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from robot.control.home import HomeRegion, action_towards
from robot.rollout.environment import RobotEnv
from trajectories.kinds import AFTERMATH, KIND_KEY, PARENT_KEY
from trajectories.recorder import Recorder
from trajectories.types import ACTION_SIZE, Direction, Episode, Float32, Outcome, Source


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
    about = {**(metadata or {}), KIND_KEY: AFTERMATH, PARENT_KEY: parent}
    recorder = look(env, rest(steps, env.home.opens), task=task, direction=direction, source=source, metadata=about)
    return recorder.finish(outcome, truncated=outcome != "success")


def look(
    env: RobotEnv,
    actions: Iterable[Float32],
    *,
    task: str,
    direction: Direction,
    source: Source,
    metadata: Mapping[str, Any],
) -> Recorder:
    """Record what the arm sees while it does these actions, `rest` or `wander`; the caller finishes the recording.

    Args:
        env: The robot, at home; its `instruction` stays.
        actions: Float32 (7,) each, one a control step.
        task: Task name.
        direction: Of the episode before.
        source: Who recorded the episode before.
        metadata: Plain JSON types.

    Raises:
        SafetyError, StaleDataError: On a fault; nothing is recorded then.
    """
    recorder = Recorder(env.robot_spec)
    recorder.begin(env.observe(), task=task, direction=direction, metadata=metadata)
    for action in actions:
        applied = env.apply(action)
        recorder.step(env.observe(), action, applied.executed, source)
    return recorder


def rest(steps: int, gripper_open: bool) -> Iterator[Float32]:
    """Actions, float32 (7,), that leave the arm where it is."""
    for _ in range(steps):
        action = np.zeros(ACTION_SIZE, dtype=np.float32)
        action[6] = 1.0 if gripper_open else -1.0
        yield action


def wander(env: RobotEnv, rng: np.random.Generator, steps: int) -> Iterator[Float32]:
    """Actions, float32 (7,), towards one home pose after another, the gripper as it is there; two steps towards each.

    Each is computed from where the arm is by then: draw one, apply it, draw the next.
    """
    home = HomeRegion()
    for step in range(steps):
        if step % 2 == 0:
            goal = home.sample(rng)
        yield action_towards(env.target.pose, goal, env.robot_spec.action_scale, 1.0, env.home.opens)[0]
