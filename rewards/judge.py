"""The reward model of the session: the classifier behind `robot.interfaces.RewardModel`."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rewards.classifier import ImageFeatures, SuccessClassifier, image_features
from rewards.debounce import Debounce
from rewards.threads import computing_with
from rewards.windows import Windows, window_rows
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.types import Observation


class VlmReward:
    """Judges every observation, and says done after enough confident frames in a row. A `RewardModel`.

    Attributes:
        classifier: What it judges by.
    """

    def __init__(self, classifier: SuccessClassifier, threads: int | None = None) -> None:
        """Judge by a classifier, with so many threads; None leaves them as they are."""
        self.classifier = classifier
        self._threads = threads
        self._trunk = classifier.ensemble.needs_trunk
        self._past: deque[tuple[Tensor, Tensor]] = deque(maxlen=classifier.time.window if classifier.time else 1)
        self._debounce = Debounce(classifier.threshold.value, classifier.frames)
        self._instruction: str | None = None
        self._text: Tensor = torch.empty(0)

    @property
    def camera(self) -> str:
        """Name of the camera that it looks through."""
        return self.classifier.camera

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
        self._debounce.reset()
        self._past.clear()

    def update(self, observation: Observation) -> RewardReading:
        """Judge the newest observation.

        Raises:
            ConfigError: Before the first `reset`, or when the camera is missing.
        """
        if self._instruction is None:
            raise ConfigError("Call reset(instruction) before judging the first observation.")
        camera = self.camera
        if camera not in observation.images:
            raise ConfigError(
                f"The success classifier looks through camera {camera!r}, but the observation has "
                f"{', '.join(observation.images) or 'none'}."
            )
        with computing_with(self._threads):
            features = image_features(self.classifier.backbone, observation.images[camera][None], self._trunk)
            logits, progress = self.classifier.judge(self._with_past(features, observation)[:], self._text)
        counts = bool(self.classifier.counts(observation.proprio[None])[0])
        probability = float(self.classifier.calibration(logits)[0]) if counts else 0.0
        above = counts and probability >= self.classifier.threshold.value
        come = None if np.isnan(progress[0]) else float(progress[0])
        return RewardReading(probability, self._debounce.update(probability, counts), above, come)

    def _with_past(self, features: ImageFeatures, observation: Observation) -> ImageFeatures:
        """The newest frame's features with the episode's last frames, where the classifier looks at them."""
        if self.classifier.time is None:
            return features
        proprio = torch.from_numpy(np.asarray(observation.proprio, np.float32)[None]).to(features.pooled.device)
        self._past.append((features.pooled, proprio))
        images, poses = (torch.cat(parts) for parts in zip(*self._past, strict=True))
        rows = torch.from_numpy(window_rows(np.arange(len(images)), self.classifier.time.window)[-1:])
        return replace(features, windows=Windows(images, poses, rows.to(images.device)))
