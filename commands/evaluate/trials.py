"""One evaluation episode: what it is, how it is run, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from commands.evaluate.delays import DelayedPolicy
from commands.evaluate.journal import Key
from commands.evaluate.verdicts import Judge, PredicateJudge
from factory.evaluated_policy import PolicySource, open_policy
from factory.robot import Station, TwinStation
from factory.twin import TwinSettings, cached_twin
from robot.interfaces import EpisodePolicy
from robot.rollout.last_looks import MOST_LOOKS, still
from trajectories.errors import ConfigError
from trajectories.media import write_mp4
from trajectories.types import DIRECTIONS, Direction, Observation, UInt8

MODES = ("stochastic", "deterministic")


def require_amounts(episodes: int, modes: Sequence[str], videos: int) -> None:
    """Refuse amounts that measure nothing, and modes that there aren't.

    Raises:
        ConfigError: Naming the setting.
    """
    if episodes < 1:
        raise ConfigError(f"evaluate.episodes={episodes} measures nothing, expected at least 1.")
    if videos < 0:
        raise ConfigError(f"evaluate.videos={videos} is out of range, expected 0 or more.")
    if not modes or len(set(modes)) < len(modes) or not set(modes) <= set(MODES):
        raise ConfigError(f"evaluate.modes=[{','.join(modes)}], expected {' or '.join(MODES)}, or both, each once.")


@dataclass(frozen=True)
class Trial:
    """One evaluation episode to run: the same `index` has the same start for every policy and mode.

    Attributes:
        policy: Who acts.
        direction: "forward" or "backward".
        mode: One of `MODES`.
        index: Number of the trial within its direction and mode.
        seed: Of the starts.
        max_steps: Time limit, control steps.
        video: Whether its frames are kept.
        action_delay: Control steps by which actions are executed late.
        picture_delay: Control steps by which the policy's pictures are old.
        wordings: What is drawn from in place of the task's own wordings of the direction, where there are any.
    """

    policy: PolicySource
    direction: Direction
    mode: str
    index: int
    seed: int
    max_steps: int
    video: bool
    action_delay: int = 0
    picture_delay: int = 0
    wordings: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Which episode of its cell it is."""
        return self.direction, self.mode, self.index


@dataclass(frozen=True)
class TrialResult:
    """What happened in a trial.

    Attributes:
        direction: "forward" or "backward".
        mode: "stochastic" or "deterministic".
        index: Number of the trial within its direction and mode.
        success: The judge said so before time was up; None where it was unsure at the end, or had no answer.
        steps: Control steps taken.
        instruction: The wording used.
        share: Of a task that is done in parts (`sim.tasks.task.Task.parts`), the share that was done at the end.
    """

    direction: str
    mode: str
    index: int
    success: bool | None
    steps: int
    instruction: str
    share: float | None = None

    @property
    def outcome(self) -> str:
        """In a word."""
        return outcome_of(self.success)


def outcome_of(success: bool | None) -> str:
    """What the judge said, in a word."""
    return {True: "success", False: "failure", None: "unsure"}[success]


@dataclass(frozen=True)
class Begun:
    """An episode of which nothing was done yet: who acts, what draws the rest, and what the policy sees first."""

    policy: EpisodePolicy
    rng: np.random.Generator
    observation: Observation


def begin_trial(station: Station, trial: Trial) -> Begun:
    """Put the robot and its scene into an episode's start, and say to the policy what to do.

    Raises:
        SafetyError: The start ends in a fault; the policy has no part in it.
    """
    policy: EpisodePolicy = open_policy(trial.policy)
    if trial.action_delay or trial.picture_delay:
        policy = DelayedPolicy(policy, trial.action_delay, trial.picture_delay)
    env = station.env
    rng = np.random.default_rng([trial.seed, trial.index, DIRECTIONS.index(trial.direction)])
    env.instruction = ""  # what is said of an episode that can't even begin
    station.prepare(trial.direction, rng)
    policy.seed(int(rng.integers(2**31)))
    env.instruction = str(rng.choice(trial.wordings or station.instructions[trial.direction]))
    return Begun(policy, rng, env.observe())


def run_trial(
    station: Station,
    judge: Judge,
    camera: str,
    trial: Trial,
    on_observation: Callable[[Observation], None] = lambda observation: None,
) -> tuple[TrialResult, UInt8 | None]:
    """Run one episode; returns its result and, when asked for, the frames uint8 (T + 1, H, W, 3).

    Args:
        station: The robot.
        judge: Of success.
        camera: Whose frames are kept.
        trial: What to run.
        on_observation: Gets every observation but the first.
    """
    return act_out(station, judge, camera, trial, begin_trial(station, trial), on_observation)


def act_out(
    station: Station,
    judge: Judge,
    camera: str,
    trial: Trial,
    begun: Begun,
    on_observation: Callable[[Observation], None] = lambda observation: None,
) -> tuple[TrialResult, UInt8 | None]:
    """Let the policy act in an episode that has begun; see `run_trial`."""
    env, policy, rng, observation = station.env, begun.policy, begun.rng, begun.observation
    judge.start(observation)
    frames = [observation.images[camera]]
    done, steps, looks = False, 0, 0
    while steps < trial.max_steps and not done:
        applied = env.apply(policy.act(observation, deterministic=trial.mode == "deterministic"))
        observation = env.observe()
        on_observation(observation)
        steps += 1
        done = judge.done(observation, trial.direction)
        if trial.video:
            frames.append(observation.images[camera])
    while not done and judge.undecided() and looks < MOST_LOOKS:
        env.apply(still(applied.executed))
        done, looks = judge.done(env.observe(), trial.direction), looks + 1
    instruction = env.instruction
    success = judge.settled(judge.verdict(done, instruction), trial.direction, station, rng)
    result = TrialResult(trial.direction, trial.mode, trial.index, success, steps, instruction)
    return result, (np.stack(frames) if trial.video else None)


def write_film(path: Path, frames: UInt8) -> None:
    """Write the frames uint8 (T + 1, H, W, 3) of an episode as a film, large enough for people."""
    write_mp4(path, frames.repeat(4, axis=1).repeat(4, axis=2), fps=10)


def run_in_twin(job: tuple[TwinSettings, Trial]) -> tuple[TrialResult, UInt8 | None]:
    """Run one episode in this process' twin, judged by the physics predicate."""
    settings, trial = job
    twin = cached_twin(settings)
    result, frames = run_trial(TwinStation(twin), PredicateJudge(twin.success), settings.cameras[0], trial)
    return replace(result, share=twin.share(trial.direction)), frames
