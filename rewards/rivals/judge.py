"""A rival as the reward model of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rewards.backbone import Backbone
from rewards.calibration import Calibration, Threshold
from rewards.classifier import frames_that_count, image_features
from rewards.decision import decisions
from rewards.rivals.scorer import Standardised
from rewards.threads import computing_with
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.types import Float32, Observation, RobotSpec, UInt8


@dataclass(frozen=True)
class DecisionRules:
    """From a score to a decision.

    Attributes:
        calibration: Score to probability.
        threshold: What `frames` consecutive probabilities must reach.
        frames: Consecutive frames that a decision needs.
        camera: Name of the camera that is looked through.
        require_open_gripper: Frames with the gripper commanded closed never count.
        spec: The robot that it was trained for.
        goals: Instruction -> index of its goal.
        home: Score to probability where the arm is home and looks at what it left; None: as anywhere.
    """

    calibration: Calibration
    threshold: Threshold
    frames: int
    camera: str
    require_open_gripper: bool
    spec: RobotSpec
    goals: dict[str, int]
    home: Calibration | None = None

    def goal_of(self, instruction: str) -> int:
        """Index of an instruction's goal.

        Raises:
            ConfigError: For an instruction that it was not trained for.
        """
        if instruction not in self.goals:
            raise ConfigError(
                f"The judge was never trained on {instruction!r}; it knows {', '.join(map(repr, self.goals))}. "
                "Run `regrasp train-reward` again with the same task.instructions, or give one of those."
            )
        return self.goals[instruction]

    def image_of(self, observation: Observation) -> UInt8:
        """The judge's image of an observation: uint8 (H, W, 3).

        Raises:
            ConfigError: When its camera is missing.
        """
        if self.camera not in observation.images:
            raise ConfigError(
                f"The judge looks through camera {self.camera!r}, but the observation has "
                f"{', '.join(observation.images) or 'none'}."
            )
        return observation.images[self.camera]

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) may count towards done: bool (N,)."""
        return frames_that_count(proprio, self.spec, self.require_open_gripper)


class ScoredReward:
    """Judges every observation by a scorer, and says done after enough confident frames in a row. A `RewardModel`.

    Attributes:
        rules: From its scores to decisions.
    """

    def __init__(
        self, scorer: Standardised, rules: DecisionRules, backbone: Backbone, trunk: bool, threads: int | None = None
    ) -> None:
        """Judge by a scorer.

        Args:
            scorer: Gives the score of a frame.
            rules: From scores to decisions.
            backbone: Embeds the frames.
            trunk: Whether the scorer needs the input of the backbone's last block.
            threads: Threads to compute with; None leaves them as they are.
        """
        self.rules = rules
        self._scorer, self._backbone, self._trunk, self._threads = scorer, backbone, trunk, threads
        self._usual, self._from_home = decisions(rules.calibration, rules.threshold.value, rules.home, rules.frames)
        self._decision = self._usual
        self._goal: int | None = None

    @property
    def camera(self) -> str:
        """Name of the camera that it looks through."""
        return self.rules.camera

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) may count towards done: bool (N,)."""
        return self.rules.counts(proprio)

    def reset(self, instruction: str) -> None:
        """Start judging a new episode.

        Raises:
            ConfigError: For an instruction that it was not trained for.
        """
        self._goal = self.rules.goal_of(instruction)
        self._decision = self._usual
        self._decision.reset()

    def reset_from_home(self, instruction: str) -> None:
        """Start judging what an episode left, the arm at home.

        Raises:
            ConfigError: As `reset`.
        """
        self.reset(instruction)
        self._decision = self._from_home
        self._decision.reset()

    @torch.no_grad()
    def update(self, observation: Observation) -> RewardReading:
        """Judge the newest observation.

        Raises:
            ConfigError: Before the first `reset`, or when the camera is missing.
        """
        if self._goal is None:
            raise ConfigError("Call reset(instruction) before judging the first observation.")
        with computing_with(self._threads):
            features = image_features(self._backbone, self.rules.image_of(observation)[None], self._trunk)
            score = self._scorer.score(features[:], np.array([self._goal]))
        counts = bool(self.counts(observation.proprio[None])[0])
        probability = float(self._decision.calibration(score)[0]) if counts else 0.0
        above = counts and probability >= self._decision.threshold
        done = self._decision.debounce.update(probability, counts)
        refuted = self._decision.refutes(probability, counts, unsure=False)
        return RewardReading(probability, done, above, refuted=refuted)
