"""Goal pictures in embedding space: a frame is as done as it is near to pictures of the goal.

VIP (arXiv 2210.00030, section 4): with an embedding φ and a goal picture g the value of a frame is
V(o; g) = -||φ(o) - φ(g)||₂, and goal pictures are the last frames of demonstrations (section 5). VIP's own ResNet-50 is
not used; φ is the backbone's unit embedding, of which the paper's comparisons have one as well (CLIP). VIP rewards
differences of V between frames; a judge needs V itself, of which a threshold is certified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rewards.classifier import ImageFeatures
from rewards.config import DecisionConfig
from rewards.rivals.kind import RivalKind
from rewards.rivals.scorer import Lessons
from trajectories.errors import ConfigError
from trajectories.types import Float64, Int64


@dataclass(frozen=True)
class GoalPicturesConfig(DecisionConfig):
    """Settings of goal pictures.

    Attributes:
        goal: What a frame is compared with: mean, the mean of all goal embeddings, one goal as in the paper; nearest,
            the goal picture that is nearest to it.
    """

    goal: Literal["mean", "nearest"] = "nearest"


@dataclass(frozen=True)
class GoalDistance:
    """A `Scorer`: minus the Euclidean distance to the goal.

    Attributes:
        goals: Unit embeddings float32 (n, E) of each goal's pictures, by the goal's index.
        mean: Whether their mean is the goal, rather than the nearest of them.
    """

    goals: Mapping[int, Tensor]
    mean: bool

    def score(self, features: ImageFeatures, goals: Int64) -> Float64:
        """Minus the distances float64 (N,), -2 ... 0."""
        scores = np.empty(len(goals))
        for goal in np.unique(goals):
            chosen = np.flatnonzero(goals == goal)
            pictures = self.goals[int(goal)]
            target = pictures.mean(dim=0, keepdim=True) if self.mean else pictures
            frames = features.pooled[torch.from_numpy(chosen).to(pictures.device)]
            scores[chosen] = -torch.cdist(frames, target).amin(dim=1).double().cpu().numpy()
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """Goal pictures by "goal." and the goal's index."""
        return {f"goal.{index}": pictures for index, pictures in self.goals.items()}


class GoalPicturesKind(RivalKind[GoalPicturesConfig]):
    """Keeps embeddings of the last frames of successes; nothing is trained."""

    name = "goal_pictures"
    defaults = GoalPicturesConfig()

    def fit(self, lessons: Lessons, config: GoalPicturesConfig) -> GoalDistance:
        """The goal pictures of each goal.

        Raises:
            ConfigError: When a goal has none.
        """
        return GoalDistance(
            {goal: lessons.features(require_shown(lessons, goal)).pooled for goal in lessons.goals},
            config.goal == "mean",
        )

    def restore(self, tensors: Mapping[str, Tensor], config: GoalPicturesConfig) -> GoalDistance:
        """The same from its tensors."""
        pictures = {int(name.removeprefix("goal.")): tensor for name, tensor in tensors.items()}
        return GoalDistance(pictures, config.goal == "mean")


def require_shown(lessons: Lessons, goal: int) -> Int64:
    """Rows of the frames that show a goal done: (n,).

    Raises:
        ConfigError: When there are none.
    """
    rows = lessons.rows(goal, True)
    if not len(rows):
        task, direction = lessons.data.goals[goal]
        raise ConfigError(
            f"No episode shows {task!r} done in the direction {direction!r}, or all that do are held out together. "
            "Record successes of both directions, at least one for each of reward.folds."
        )
    return rows
