"""A generative model as the reward model of a session: it looks on, and says at the end whether the task was done."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.generative.client import ChatClient, Unanswered
from rewards.generative.config import GenerativeConfig
from rewards.rivals.judge import DecisionRules
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.types import Episode, Float32, Observation, UInt8

logger = logging.getLogger(__name__)
GIVE_UP = 5
"""Episodes in a row without an answer after which the judge says so by an error instead of going on unheard."""


@dataclass(frozen=True)
class Ending:
    """What is shown of the end of an episode.

    Attributes:
        pictures: uint8 (H, W, 3) each, in order of time, the last one last.
        proprio: float32 (P,) of the last observation.
        instruction: In words.
        about: What the log calls it.
    """

    pictures: list[UInt8]
    proprio: Float32
    instruction: str
    about: str


def ending_of(episode: Episode, config: GenerativeConfig) -> Ending:
    """The end of a recorded episode.

    Raises:
        ConfigError: When the camera is missing.
    """
    if config.camera not in episode.images:
        raise ConfigError(
            f"Episode {episode.id} has no camera {config.camera!r}, only {', '.join(episode.images)}; give one of "
            "these: +reward.camera=NAME."
        )
    images = episode.images[config.camera]
    rows = range(len(images) - 1, -1, -config.stride)[: config.shown]
    return Ending([images[row] for row in reversed(rows)], episode.proprio[-1], episode.instruction, episode.id)


class GenerativeReward:
    """Says nothing during an episode and asks the model at its end. A `robot.interfaces.ConcludingReward`.

    Attributes:
        config: What is shown and asked.
        rules: From the answers' log-odds to decisions.
    """

    def __init__(self, client: ChatClient, config: GenerativeConfig, rules: DecisionRules) -> None:
        """Judge by a model's answers."""
        self.config, self.rules = config, rules
        self._client = client
        self._seen: deque[Observation] = deque(maxlen=(config.shown - 1) * config.stride + 1)
        self._instruction: str | None = None
        self._unanswered = 0

    @property
    def camera(self) -> str:
        """Name of the camera that it looks through."""
        return self.rules.camera

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) may count towards done: bool (N,)."""
        return self.rules.counts(proprio)

    def reset(self, instruction: str) -> None:
        """Start looking on at a new episode.

        Raises:
            ConfigError: For an instruction whose answers were never tried.
        """
        self.rules.goal_of(instruction)
        self._instruction = instruction
        self._seen.clear()

    def update(self, observation: Observation) -> RewardReading:
        """Keep the newest observation; never done, and no probability (NaN).

        Raises:
            ConfigError: Before the first `reset`, or when the camera is missing.
        """
        if self._instruction is None:
            raise ConfigError("Call reset(instruction) before judging the first observation.")
        self.rules.image_of(observation)
        self._seen.append(observation)
        return RewardReading(float("nan"), False)

    def conclude(self) -> RewardReading | None:
        """Ask about the end of the episode; None when the model gave no answer.

        Raises:
            ConfigError: Before the first observation, or when the server refuses the question.
            Unanswered: After `GIVE_UP` episodes in a row without an answer.
        """
        if self._instruction is None or not self._seen:
            raise ConfigError("There is nothing to conclude: call reset(instruction) and update(observation) before.")
        shown = list(self._seen)[:: -self.config.stride][: self.config.shown][::-1]
        pictures = [self.rules.image_of(observation) for observation in shown]
        return self.judge(Ending(pictures, self._seen[-1].proprio, self._instruction, "session"))

    def judge(self, ending: Ending) -> RewardReading | None:
        """Judge the end of an episode, of a session or recorded; None and errors as `conclude`."""
        proprio = np.asarray(ending.proprio)[None]
        if not self.counts(proprio)[0]:
            return RewardReading(0.0, False)
        question = self.config.question(ending.instruction, len(ending.pictures))
        try:
            answer = self._client.ask(question, ending.pictures, ending.about)
        except Unanswered as error:
            self._unanswered += 1
            if self._unanswered >= GIVE_UP:
                raise
            logger.warning("%s", error)
            return None
        self._unanswered = 0
        probability = float(self.rules.calibration([answer.logit])[0])
        done = probability >= self.rules.threshold.value
        return RewardReading(probability, done, done)
