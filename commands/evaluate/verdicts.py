"""Who says whether an evaluation episode succeeded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from omegaconf import DictConfig

from commands.evaluate.conditions import PREDICATE
from commands.overrides import typed_keys
from factory.judge_settings import require_trained_like
from factory.judging import session_judge
from factory.run_folders import reward_folder
from factory.task import ends_open
from robot.interfaces import ConcludingReward, RewardReading
from robot.rollout.home_look import look_from_home, retreat, settled
from robot.rollout.judging import BesideJudge
from trajectories.errors import ConfigError
from trajectories.types import Direction, Observation, Outcome

if TYPE_CHECKING:
    from factory.robot import Station
    from robot.interfaces import RewardModel

_OUTCOMES: dict[bool | None, Outcome] = {True: "success", False: "failure", None: "unknown"}
_SAID = {outcome: said for said, outcome in _OUTCOMES.items()}
JUDGES = ("auto", "predicate", "reward", "person")


class Judge(Protocol):
    """Ends an episode and says how it went.

    Attributes:
        name: For the report.
    """

    name: str

    def start(self, observation: Observation) -> None:
        """An episode begins."""
        ...

    def done(self, observation: Observation, direction: Direction) -> bool:
        """Whether it may end, asked after every step."""
        ...

    def undecided(self) -> bool:
        """Whether the newest observation looks done and it takes more of them to say so."""
        ...

    def verdict(self, done: bool, instruction: str) -> bool | None:
        """Whether it succeeded, None where nobody knows; `done` is the last answer of the method of that name."""
        ...

    def settled(
        self, said: bool | None, direction: Direction, station: Station, rng: np.random.Generator
    ) -> bool | None:
        """The verdict that stands in the end; may go home and look."""
        ...


class PredicateJudge:
    """The twin's physics predicate: done is success."""

    name = PREDICATE

    def __init__(self, predicate: Callable[[Direction], bool]) -> None:
        self._predicate = predicate

    def start(self, observation: Observation) -> None:
        """Nothing to prepare."""

    def done(self, observation: Observation, direction: Direction) -> bool:
        """What the physics says."""
        return self._predicate(direction)

    def undecided(self) -> bool:
        """Never: the physics knows."""
        return False

    def verdict(self, done: bool, instruction: str) -> bool:
        """Done is success."""
        return done

    def settled(
        self, said: bool | None, direction: Direction, station: Station, rng: np.random.Generator
    ) -> bool | None:
        """What was said."""
        return said


class RewardJudge:
    """The reward model, as in fine-tuning: its debounced decision is success, and where it is unsure nobody knows."""

    name = "reward model"

    def __init__(self, reward: RewardModel, beside: bool = False, home_look: bool = True) -> None:
        """Judge between two steps, or beside the next one's motion and a step later (`robot.rollout.judging`).

        With `home_look` also from home, see `robot.rollout.home_look`.
        """
        self._home_look = home_look and not isinstance(reward, ConcludingReward)
        if self._home_look:
            self.name = f"{self.name}, at the end and from home"
        self._reward = reward
        self._beside = BesideJudge(reward) if beside else None
        self._begun: Future[RewardReading] | None = None
        self._last = RewardReading(0.0, False)  # before anything is judged

    def start(self, observation: Observation) -> None:
        """Judge a new episode."""
        self._finish()
        self._last = RewardReading(0.0, False)
        self._reward.reset(observation.instruction)
        self._reward.update(observation)

    def done(self, observation: Observation, direction: Direction) -> bool:
        """The debounced decision, beside the motion that on the observation before."""
        if self._beside is None:
            self._last = self._reward.update(observation)
            return self._last.done
        self._finish()
        if not self._last.done:
            self._begun = self._beside.begin(observation)
        return self._last.done

    def undecided(self) -> bool:
        """Whether the newest frame is above the threshold, but not yet as many in a row as a decision takes."""
        self._finish()
        return self._last.above and not self._last.done

    def verdict(self, done: bool, instruction: str) -> bool | None:
        """Done is success, unsure at the end is neither; one that concludes is asked when time has ended the episode.

        None also without an answer of one that concludes.
        """
        self._finish()
        if self._last.done or not isinstance(self._reward, ConcludingReward):
            return None if self._last.unsure else self._last.done
        reading = self._reward.conclude()
        return None if reading is None else reading.done

    def settled(
        self, said: bool | None, direction: Direction, station: Station, rng: np.random.Generator
    ) -> bool | None:
        """What stands when the arm is home and has looked at what was left.

        Raises:
            SafetyError, StaleDataError: On a fault.
        """
        released = station.env.target.gripper_open
        if not self._home_look or not retreat(station.env, rng):
            return said
        look = look_from_home(station.env, self._reward, station.instructions, direction, rng)
        return _SAID[settled(_OUTCOMES[said], look, creditable=released)]

    def _finish(self) -> None:
        """Wait for what is being judged, if anything is."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._last = begun.result()


class PersonJudge:
    """A person at the terminal, after the episode; a reward model, where there is one, says when it may end."""

    name = "person"

    def __init__(self, ending: RewardJudge | None, ask: Callable[[str], str] = input) -> None:
        self._ending, self._ask = ending, ask

    def start(self, observation: Observation) -> None:
        """A new episode."""
        if self._ending is not None:
            self._ending.start(observation)

    def done(self, observation: Observation, direction: Direction) -> bool:
        """Whether the reward model thinks so; without one, the time limit ends every episode."""
        return self._ending is not None and self._ending.done(observation, direction)

    def undecided(self) -> bool:
        """Never: the person sees the end."""
        return False

    def verdict(self, done: bool, instruction: str) -> bool:
        """What the person says."""
        while True:
            answer = self._ask(f"\nDid the robot {instruction!r}? [y/n] ").strip().lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")

    def settled(
        self, said: bool | None, direction: Direction, station: Station, rng: np.random.Generator
    ) -> bool | None:
        """What was said."""
        return said


def judge_of(config: DictConfig, station: Station) -> Judge:
    """The judge that `evaluate.judge` names; "auto" is the physics predicate where there is one, else a person.

    Raises:
        ConfigError: When it isn't to be had with this robot.
        CheckpointError: When it needs a reward model and there is none.
    """
    name = str(config.evaluate.judge)
    if name not in JUDGES:
        raise ConfigError(f"evaluate.judge is {name!r}, expected one of {', '.join(JUDGES)}.")
    if name in ("auto", "predicate") and station.referee is not None:
        return PredicateJudge(station.referee)
    if name == "predicate":
        raise ConfigError(f"There is no physics predicate with robot={config.robot.name}; use evaluate.judge=person.")
    if name == "reward":
        return _reward_judge(config)
    return PersonJudge(_reward_judge(config) if reward_folder(Path(config.run_dir)).is_dir() else None)


def _reward_judge(config: DictConfig) -> RewardJudge:
    require_trained_like(config, typed_keys(), print)
    judge = session_judge(config, None, print)
    return RewardJudge(judge.reward, judge.beside, ends_open(config))
