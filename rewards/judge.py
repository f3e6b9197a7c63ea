"""The reward model of the session: the classifier behind `robot.interfaces.RewardModel`."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rewards.classifier import ImageFeatures, SuccessClassifier, image_features, views_of
from rewards.decision import decisions
from rewards.threads import computing_with
from rewards.windows import Windows, last_window
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.types import Float32, Observation


class VlmReward:
    """Judges every observation: done after enough confident frames in a row, unsure by `rewards.doubt`.

    A `RewardModel`.

    Attributes:
        classifier: What it judges by.
    """

    def __init__(self, classifier: SuccessClassifier, threads: int | None = None) -> None:
        """Judge by a classifier, with so many threads; None leaves them as they are."""
        self.classifier = classifier
        self._threads = threads
        self._trunk = classifier.ensemble.needs_trunk
        self._past: deque[tuple[Tensor, Tensor]] = deque(maxlen=classifier.time.window if classifier.time else 1)
        self._usual, self._from_home = decisions(
            classifier.calibration, classifier.threshold.value, classifier.home, classifier.frames, classifier.doubt
        )
        self._decision = self._usual
        self._instruction: str | None = None
        self._text: Tensor = torch.empty(0)

    @property
    def camera(self) -> str:
        """Name of the first camera that it looks through."""
        return self.classifier.cameras[0]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of all cameras that it looks through."""
        return self.classifier.cameras

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) may count towards done: bool (N,)."""
        return self.classifier.counts(proprio)

    def reset(self, instruction: str) -> None:
        """Start judging a new episode.

        Raises:
            ConfigError: For an instruction that it was never tried under.
        """
        known = self.classifier.wordings
        if known and instruction not in known:
            raise ConfigError(
                f"The success classifier was never tried on {instruction!r}; it knows {', '.join(map(repr, known))}. "
                "Run `regrasp train-reward` again with the same task.instructions, or give one of those."
            )
        if instruction != self._instruction:
            self._text = self.classifier.backbone.encode_text([instruction])
            self._instruction = instruction
        self._past.clear()
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

    def update(self, observation: Observation) -> RewardReading:
        """Judge the newest observation.

        Raises:
            ConfigError: Before the first `reset`, or when the camera is missing.
        """
        if self._instruction is None:
            raise ConfigError("Call reset(instruction) before judging the first observation.")
        views = [image[None] for image in views_of(observation.images, self.cameras, slice(None))]
        with computing_with(self._threads):
            features = image_features(self.classifier.backbone, views, self._trunk)
            each, progress = self.classifier.judge_each(self._with_past(features, observation)[:], self._text)
        members, decision, come = each[:, 0], self._decision, float(progress[0])
        counts = bool(self.counts(observation.proprio[None])[0])
        probability = float(decision.calibration(float(members.mean()))) if counts else 0.0
        above = counts and probability >= decision.threshold
        done, unsure = decision.debounce.update(probability, counts), False
        if decision.doubt is not None:
            unsure = decision.doubt.update(features.pooled, decision.calibration(members.cpu().numpy()), counts)
        refuted = decision.refutes(probability, counts, unsure)
        return RewardReading(probability, done, above, None if math.isnan(come) else come, unsure, refuted)

    def _with_past(self, features: ImageFeatures, observation: Observation) -> ImageFeatures:
        """The newest frame's features with the episode's last frames, where the classifier looks at them."""
        if self.classifier.time is None:
            return features
        proprio = torch.from_numpy(np.asarray(observation.proprio, np.float32)[None]).to(features.pooled.device)
        self._past.append((features.pooled, proprio))
        images, poses = (torch.cat(parts) for parts in zip(*self._past, strict=True))
        rows = torch.from_numpy(last_window(np.arange(len(images)), self.classifier.time.window)[None])
        return replace(features, windows=Windows(images, poses, rows.to(images.device)))
