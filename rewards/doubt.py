"""When the success classifier doesn't know: another scene than in training, members at odds, the edge of its threshold.

The distance of a frame is the Mahalanobis distance of its image embedding from those of the task's training frames
(Lee et al., NeurIPS 2018, arXiv 1807.03888), see `rewards.doubt_fitting`. The median over an episode's frames so far
counts: light, camera and objects stay what they are in an episode, and one odd view of the arm is no other scene.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trajectories.types import Float64


@dataclass(frozen=True)
class SceneDistance:
    """How far image embeddings are from those of training.

    Attributes:
        mean: float32 (E,) of the training embeddings.
        precision: float32 (E, E) inverse of their covariance with the ridge.
    """

    mean: Tensor
    precision: Tensor

    def __call__(self, embeddings: Tensor) -> Float64:
        """Mahalanobis distances float64 (N,) of unit embeddings (N, E), wherever they lie."""
        offset = embeddings.detach().cpu() - self.mean
        squared = ((offset @ self.precision) * offset).sum(dim=1)
        return squared.clamp_(min=0.0).sqrt_().double().numpy()


@dataclass(frozen=True)
class DoubtRules:
    """When a classifier is unsure.

    Attributes:
        scene: Distance of a frame from the training data; None where only the members are asked.
        limit: An episode whose median distance is beyond this shows another scene.
        spread: Mean standard deviation of the members' probabilities beyond which they are at odds.
        margin: How near to the threshold the probability, mean over the last frames, is too near to say (the reject
            option of Chow 1970); at most half of what lies between the threshold and certainty.
    """

    scene: SceneDistance | None
    limit: float
    spread: float
    margin: float = 0.0


class Doubt:
    """Follows an episode frame by frame. Unsure is said from the first frames that could decide anything."""

    def __init__(self, rules: DoubtRules, frames: int, threshold: float, failing: float | None = None) -> None:
        """Follow by these rules.

        Args:
            rules: When it is unsure.
            frames: So many in a row above the threshold decide.
            threshold: Of the probability.
            failing: From this probability up to the threshold nobody can say that it was not done, where rules have a
                margin; None: only what is near the threshold is in doubt.
        """
        self._rules, self._frames, self._threshold = rules, frames, threshold
        self._margin = min(rules.margin, 0.5 * threshold, 0.5 * (1.0 - threshold))  # what is certain is never near
        self._failing = threshold if failing is None or not rules.margin else failing
        self._spreads: deque[float] = deque(maxlen=frames)
        self._means: deque[float] = deque(maxlen=frames)
        self._distances: list[float] = []

    def reset(self) -> None:
        """Forget all frames."""
        self._spreads.clear()
        self._means.clear()
        self._distances.clear()

    def update(self, embedding: Tensor, probabilities: Float64, counts: bool) -> bool:
        """Take the next frame; returns whether the classifier is unsure now.

        Args:
            embedding: Unit embedding (1, E) of the frame.
            probabilities: float64 (M,) calibrated, of each member.
            counts: Whether the frame may count towards done; where it may not, the members' word is not asked.
        """
        self._spreads.append(float(probabilities.std()) if counts else 0.0)
        self._means.append(float(probabilities.mean()) if counts else 0.0)
        if self._rules.scene is not None:
            self._distances.append(float(self._rules.scene(embedding)[0]))
        if len(self._spreads) < self._frames:
            return False
        strange = bool(self._distances) and float(np.median(self._distances)) > self._rules.limit
        mean = float(np.mean(self._means))
        near = abs(mean - self._threshold) < self._margin or self._failing <= mean < self._threshold
        return strange or near or float(np.mean(self._spreads)) > self._rules.spread
