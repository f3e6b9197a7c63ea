"""A look from home at what an episode left, before its outcome counts.

At the end of an episode the judge sees the gripper beside the object, or over it; once the arm is home, where it goes
anyway, nothing hides what was left. Both directions are looked at: that a goal is reached is believed only where the
other one isn't, too. A judge that has never seen the scene from home says of neither that it is reached, and then the
outcome stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot.interfaces import HomeReward, RewardModel, RewardReading
from robot.rollout.environment import RobotEnv
from trajectories.errors import SafetyError
from trajectories.types import Direction, Outcome, other_direction

MOST_OBSERVATIONS = 5
"""Of the resting scene, that one look takes at most."""


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
    def not_done(self) -> bool:
        """Whether the scene surely is as the other direction leaves it."""
        return _surely(self.undone) and not self.tried.above

    def noted(self, judged: Outcome) -> dict[str, Any]:
        """Plain JSON for the episode's metadata, with what was said at its end."""
        return {
            "judged": judged,
            "tried": round(self.tried.probability, 4),
            "undone": round(self.undone.probability, 4),
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


def settled(judged: Outcome, look: HomeLook, *, released: bool) -> Outcome:
    """The outcome once the arm is home; `unknown`: the judge is unsure.

    Args:
        judged: The outcome at the episode's end; `unknown` where the judge was unsure.
        look: From home.
        released: Whether the gripper was open at the episode's end. What it held then, only going home let go.
    """
    if look.done and released:
        return "success"
    if look.not_done:
        return "unknown" if judged == "success" else "failure"
    return judged


def look_from_home(
    env: RobotEnv,
    reward: RewardModel,
    instructions: Mapping[Direction, Sequence[str]],
    direction: Direction,
    rng: np.random.Generator,
) -> HomeLook:
    """Look under a wording of each direction; the arm is at home already.

    Args:
        env: The robot; its `instruction` is the other direction's afterwards.
        reward: The judge; it is reset.
        instructions: Direction -> wordings.
        direction: Of the episode that ended.
        rng: Draws the wordings.

    Raises:
        StaleDataError: When a camera stopped delivering.
    """
    tried = _decided(env, reward, instructions[direction], rng)
    return HomeLook(tried, _decided(env, reward, instructions[other_direction(direction)], rng))


def drawn(wordings: Sequence[str], rng: np.random.Generator) -> str:
    """One of the wordings at random."""
    return wordings[int(rng.integers(len(wordings)))]


def _decided(env: RobotEnv, reward: RewardModel, wordings: Sequence[str], rng: np.random.Generator) -> RewardReading:
    """The reward model's word on the resting scene, once it has decided or seen enough."""
    env.instruction = drawn(wordings, rng)
    start = reward.reset_from_home if isinstance(reward, HomeReward) else reward.reset
    start(env.instruction)
    for _ in range(MOST_OBSERVATIONS):
        reading = reward.update(env.observe())
        if reading.done:
            break
    return reading


def _surely(reading: RewardReading) -> bool:
    return reading.done and not reading.unsure
