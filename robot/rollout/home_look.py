"""A look from home at what an episode left, before its outcome counts.

At the end of an episode the judge sees the gripper beside the object, or over it; once the arm is home, where it goes
anyway, nothing hides what was left. Both directions are looked at: that a goal is reached is believed only where the
other one isn't, too. A judge that has learned what goals look like from here may be sure that this one isn't reached,
which takes a success back, as where the object hung from an open finger and came along. What says neither else changes
nothing, as a judge will that has never seen a goal reached from home.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robot.interfaces import HomeReward, RewardModel, RewardReading
from robot.rollout.environment import RobotEnv
from robot.rollout.last_looks import still
from trajectories.errors import SafetyError
from trajectories.types import ACTION_SIZE, Direction, Observation, Outcome, other_direction

LEAST_OBSERVATIONS, MOST_OBSERVATIONS = 3, 10
"""Of the resting scene, a control step apart: what a look takes where a goal does not seem reached, and at most."""
_REST = still(np.ones(ACTION_SIZE, np.float32))


@dataclass(frozen=True)
class HomeLook:
    """What the reward model says, the arm at home.

    Attributes:
        tried: Of the episode's direction.
        undone: Of the other one.
    """

    tried: RewardReading
    undone: RewardReading

    @property
    def done(self) -> bool:
        """Whether the episode's goal is surely reached."""
        return _surely(self.tried) and not self.undone.above

    @property
    def in_doubt(self) -> bool:
        """Whether nobody can say if the episode's goal is reached."""
        return self.tried.unsure and not self.undone.above

    @property
    def not_done(self) -> bool:
        """Whether the scene surely is as the other direction leaves it."""
        return _surely(self.undone) and not self.tried.above

    @property
    def refuted(self) -> bool:
        """Whether the episode's goal is surely not reached, whatever else the scene shows."""
        return self.tried.refuted

    def noted(self, judged: Outcome) -> dict[str, Any]:
        """Plain JSON for the episode's metadata, with what was said at its end."""
        return {
            "judged": judged,
            "tried": round(self.tried.probability, 4),
            "undone": round(self.undone.probability, 4),
            **({"refuted": True} if self.refuted else {}),
        }


def retreat(env: RobotEnv, rng: np.random.Generator) -> bool:
    """Go to a random home pose; returns whether the arm got there.

    Raises:
        SafetyError: On a fault.
    """
    try:
        env.go_home(rng)
    except SafetyError:
        if env.faults:
            raise
        return False
    return True


def settled(judged: Outcome, look: HomeLook, *, creditable: bool) -> Outcome:
    """The outcome once the arm is home; `unknown`: the judge is unsure.

    Args:
        judged: The outcome at the episode's end; `unknown` where the judge was unsure.
        look: From home.
        creditable: Whether a goal that stands can be the episode's doing: the gripper was open at its end, so that
            nothing was let go by going home alone, and the goal did not stand when it began.
    """
    if look.done and creditable:
        return "success"
    if look.refuted:
        return "failure"
    if look.not_done:
        return "unknown" if judged == "success" else "failure"
    return "unknown" if judged == "failure" and look.in_doubt and creditable else judged


def look_from_home(
    env: RobotEnv,
    reward: RewardModel,
    instructions: Mapping[Direction, Sequence[str]],
    direction: Direction,
    rng: np.random.Generator,
) -> HomeLook:
    """Look under a wording of each direction; the arm is at home already.

    Args:
        env: The robot; it rests for a few control steps.
        reward: The judge; it is reset.
        instructions: Direction -> wordings.
        direction: Of the episode that ended.
        rng: Draws the wordings.

    Raises:
        SafetyError: On a fault.
        StaleDataError: When a camera stopped delivering.
    """
    taken: list[Observation] = []

    def decided(wording: str) -> RewardReading:
        """The judge's word, once it has decided or seen enough."""
        begin_from_home(reward, wording)
        for index in range(MOST_OBSERVATIONS):
            if index == len(taken):
                env.apply(_REST)  # a frame of the arm at rest, and another one than before
                taken.append(env.observe())
            reading = reward.update(replace(taken[index], instruction=wording))
            if reading.done or (index + 1 >= LEAST_OBSERVATIONS and not reading.above):
                break
        return reading

    tried = decided(drawn(instructions[direction], rng))
    return HomeLook(tried, decided(drawn(instructions[other_direction(direction)], rng)))


def begin_from_home(reward: RewardModel, instruction: str) -> None:
    """Let a reward model judge a scene with the arm at home, by its view from there where it has one."""
    (reward.reset_from_home if isinstance(reward, HomeReward) else reward.reset)(instruction)


def drawn(wordings: Sequence[str], rng: np.random.Generator) -> str:
    """One of the wordings at random."""
    return wordings[int(rng.integers(len(wordings)))]


def _surely(reading: RewardReading) -> bool:
    return reading.done and not reading.unsure
