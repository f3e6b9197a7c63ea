"""Pictures with the truth of captions, and how well a model's logits agree with it, task by task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.metrics import balanced_accuracy
from trajectories.errors import ConfigError
from trajectories.types import Bool, Float32, Int64, UInt8


@dataclass(frozen=True)
class CaptionGroups:
    """Whose pictures and captions there are.

    Attributes:
        tasks: T names.
        task: int64 (N,): whose picture each is, an index into `tasks`.
        about: Bool (T, C): which captions are each task's.
        instructions: Bool (C,): which captions are instructions; the others say what is, or what went wrong.
    """

    tasks: tuple[str, ...]
    task: Int64
    about: Bool
    instructions: Bool


@dataclass(frozen=True)
class CaptionedImages:
    """Images with the truth of captions.

    Attributes:
        images: uint8 (N, H, W, 3) RGB.
        captions: C distinct texts.
        truth: int8 (N, C): 1 where the caption is true of the image, 0 where it is false, -1 where nobody
            can say.
        groups: Whose images and captions they are, where that is known.
    """

    images: UInt8
    captions: tuple[str, ...]
    truth: NDArray[np.int8]
    groups: CaptionGroups | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ConfigError: When they don't belong together.
        """
        if self.truth.shape != (len(self.images), len(self.captions)):
            raise ConfigError(
                f"The truth matrix is {self.truth.shape}, but there are {len(self.images)} images and "
                f"{len(self.captions)} captions."
            )
        if len(set(self.captions)) != len(self.captions):
            raise ConfigError("Captions repeat; give each distinct text one column of the truth matrix.")


@dataclass(frozen=True)
class TaskScore:
    """Balanced accuracy on a task's own images, mean over its captions; NaN where none is true of some only.

    Attributes:
        instructions: Of its instructions.
        others: Of the captions that say what is, or what went wrong.
    """

    instructions: float
    others: float


def agreement(logits: Float32, data: CaptionedImages) -> float:
    """Balanced accuracy over captions that are true of some images and false of others, at logit 0."""
    return _mean_accuracy(logits, data.truth, range(len(data.captions)))


def task_scores(logits: Float32, data: CaptionedImages) -> dict[str, TaskScore]:
    """Task -> its score by logits (N, C); empty where the groups aren't known."""
    groups, scores = data.groups, {}
    if groups is None:
        return {}
    for index, name in enumerate(groups.tasks):
        rows = groups.task == index
        said, other = (np.flatnonzero(groups.about[index] & (groups.instructions == kind)) for kind in (True, False))
        own = logits[rows], data.truth[rows]
        scores[name] = TaskScore(_mean_accuracy(*own, said), _mean_accuracy(*own, other))
    return scores


def score_table(columns: dict[str, dict[str, TaskScore]]) -> str:
    """A Markdown table of the scores of every task; instructions, then other captions, of every named column."""
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    heads = [f"{kind}, {column}" for kind in ("instructions", "other captions") for column in columns]
    lines = [f"| task | {' | '.join(heads)} |", f"|---{'|---' * len(heads)}|"]
    for name in names:
        both = [[getattr(scores[name], kind) for scores in columns.values()] for kind in ("instructions", "others")]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in both[0] + both[1])} |")
    return "\n".join(lines)


def _mean_accuracy(logits: Float32, truth: NDArray[np.int8], columns: Sequence[int] | Int64) -> float:
    scores = []
    for column in columns:
        known = truth[:, column] >= 0
        labels = truth[known, column] > 0
        if labels.any() and not labels.all():
            scores.append(balanced_accuracy(labels, logits[known, column] > 0))
    return float(np.mean(scores)) if scores else math.nan
