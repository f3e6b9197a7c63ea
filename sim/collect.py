"""Recording in the twin: demonstrations, what they left, deliberate failures and play by the scripted expert."""

from __future__ import annotations

import numpy as np

from robot.rollout.post_episode import look, wander
from sim.experts.choice import expert_for
from sim.experts.failures import Failure
from sim.twin import Twin
from trajectories.errors import SafetyError
from trajectories.kinds import AFTERMATH, BEGAN_DONE_KEY, KIND_KEY
from trajectories.recorder import Recorder
from trajectories.types import DIRECTIONS, Direction, Episode, Outcome, Source, other_direction

STEPS_AFTER_SUCCESS = 5
PLAY_STEPS = 60
PLAYED = ("pick", "push", "lift", "stack", "cloth", "sweep")
"""Skills whose things are played with."""
AFTERMATH_STEPS = 6


def collect_episode(
    twin: Twin,
    direction: Direction,
    rng: np.random.Generator,
    *,
    noise: float = 0.0,
    failure: Failure | None = None,
    max_steps: int,
) -> Episode:
    """One scripted episode from a reset; it ends a few steps after success or when time is up.

    The physics predicate marks the outcome, as a person who watches would.

    Args:
        twin: The world.
        direction: "forward" or "backward".
        rng: Draws the scene, the wording, the noise.
        noise: The expert's action noise.
        failure: A deliberate failure (`sim.experts.failures`), or None.
        max_steps: Time limit, control steps.
    """
    twin.reset(direction, rng)
    twin.env.instruction = str(rng.choice(twin.task.instructions[direction]))
    expert = expert_for(twin, direction, rng, noise=noise, failure=failure)
    recorder = Recorder(twin.env.robot_spec)
    observation = twin.env.observe()
    began = {} if failure == "miss" else _began(twin, direction)  # a hand that misses may shove the object first
    about = {"failure": failure, **began}
    recorder.begin(observation, task=twin.task.name, direction=direction, metadata=about)
    since_success = 0
    for _ in range(max_steps):
        proposed = expert.act(observation)
        try:
            applied = twin.env.apply(proposed)
        except SafetyError:
            twin.clear_own_faults()
            break
        observation = twin.env.observe()
        recorder.step(observation, proposed, applied.executed, source=Source.EXPERT)
        since_success = since_success + 1 if twin.success(direction) else 0
        if since_success > STEPS_AFTER_SUCCESS:
            break
    return _finish(recorder, twin, direction)


def _began(twin: Twin, direction: Direction) -> dict[str, Direction]:
    """What whoever set the scene up knows of it: whether the other direction is done.

    Of one object alone: what is swept has no one place, and a cloth counts as off a cube wherever it lies.
    """
    task, other = twin.task, other_direction(direction)
    if task.tool or task.scene.cloth is not None or task.reached(twin.scene, other) < task.parts:
        return {}
    return {BEGAN_DONE_KEY: other}


def _finish(recorder: Recorder, twin: Twin, direction: Direction) -> Episode:
    """The recording with the outcome of the scene as it stands now."""
    success = twin.success(direction)
    outcome: Outcome = "success" if success else "failure"
    evaluation: dict[str, bool | float] = {"success": success}
    if (share := twin.share(direction)) is not None:
        evaluation["share"] = share
    return recorder.finish(outcome, truncated=not success, metadata={"evaluation": evaluation})


def aftermath(
    twin: Twin,
    direction: Direction,
    rng: np.random.Generator,
    *,
    noise: float = 0.0,
    failure: Failure | None = None,
    max_steps: int,
) -> Episode:
    """What a demonstration left, seen by the arm from home: a few steps of wandering between home poses.

    The outcome is that of the scene as it stands then.

    Args:
        twin: The world.
        direction: "forward" or "backward", the demonstrated one.
        rng: Draws everything.
        noise: The expert's action noise.
        failure: How the demonstration fails, or None.
        max_steps: Time limit of the demonstration.
    """
    collect_episode(twin, direction, rng, noise=noise, failure=failure, max_steps=max_steps)
    try:
        twin.env.go_home(rng)
    except SafetyError:
        twin.clear_own_faults()
    actions = wander(twin.env, rng, AFTERMATH_STEPS)
    about = {KIND_KEY: AFTERMATH}
    recorder = look(twin.env, actions, task=twin.task.name, direction=direction, source=Source.EXPERT, metadata=about)
    return _finish(recorder, twin, direction)


def play_cycle(twin: Twin, rng: np.random.Generator) -> Episode:
    """Play as "place and look": move the things, an object anywhere, look at them from several poses, and again.

    Whoever has the proprioception of such an episode knows where they were in each of its frames: where the fingers
    next close on the object, or where they last let it go; where the tool next comes down.

    Args:
        twin: The world.
        rng: Draws everything.
    """
    direction: Direction = "forward" if rng.random() < 0.5 else "backward"
    twin.reset(direction, rng)
    twin.env.instruction = str(rng.choice(twin.task.instructions[direction]))
    recorder = Recorder(twin.env.robot_spec)
    about = _began(twin, direction)
    recorder.begin(twin.env.observe(), task=twin.task.name, direction=direction, metadata=about)
    for action, _ in expert_for(twin, direction, rng).play():
        try:
            applied = twin.env.apply(action)
        except SafetyError:
            twin.clear_own_faults()
            break
        recorder.step(twin.env.observe(), action, applied.executed, source=Source.EXPERT)
        if len(recorder) >= PLAY_STEPS or twin.task.lost(twin.scene):
            break
    success = {way: twin.success(way) for way in DIRECTIONS}
    return recorder.finish("unknown", truncated=True, metadata={"evaluation": {"success": success[direction]}})
