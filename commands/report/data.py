"""What a report shows, gathered from a run's folder: numbers only, no drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.evaluate.conditions import Conditions, evaluations_in, find_evaluation
from trajectories.store import EpisodeInfo, TrajectoryStore
from trajectories.types import RobotSpec

_PAUSE_MIN = 2.0
"""Minutes between two episodes from which on the run was not going."""


@dataclass(frozen=True)
class Stream:
    """The training stream: one entry an episode of fine-tuning, in order.

    Attributes:
        steps: Environment steps at the end of each episode.
        minutes: Minutes of running since the first episode began; the gap of a pause counts as nothing.
        forward: Whether the episode's direction was forward.
        judged: The reward model's decision.
        refereed: Whether the physics predicate was asked at its end (evaluation only); nobody can on a real arm.
        true: What it said; False where it wasn't asked.
        help_reasons: Why help was asked for before it, "" where it was not.
    """

    steps: NDArray[np.int64]
    minutes: NDArray[np.float64]
    forward: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    refereed: NDArray[np.bool_]
    true: NDArray[np.bool_]
    help_reasons: tuple[str, ...]

    @property
    def helped(self) -> NDArray[np.bool_]:
        """Whether the scene was reset before each episode."""
        return np.array([bool(reason) for reason in self.help_reasons], dtype=bool)

    @property
    def confusion(self) -> dict[str, int]:
        """Episodes by what the reward model said and what was true, of those that the predicate was asked about."""
        done, not_done = self.judged & self.refereed, ~self.judged & self.refereed
        return {
            "true_positive": int(np.sum(done & self.true)),
            "false_positive": int(np.sum(done & ~self.true)),
            "false_negative": int(np.sum(not_done & self.true)),
            "true_negative": int(np.sum(not_done & ~self.true)),
        }

    def success_by_window(self, window: int = 20) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sliding means of judged and true success over `window` episodes, one entry an episode."""
        return _sliding(self.judged, window), _sliding(self.true, window)


def _sliding(values: NDArray[np.bool_], window: int) -> NDArray[np.float64]:
    total = np.cumsum(np.concatenate([[0.0], values.astype(float)]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (total[ends] - total[starts]) / np.maximum(1, ends - starts)


def stream_of(infos: list[EpisodeInfo]) -> Stream:
    """The stream of fine-tuning episodes, oldest first."""
    started = np.array([int(info.id.split("-")[0]) for info in infos], dtype=np.int64)
    said = [(info.metadata.get("evaluation") or {}).get("success") for info in infos]
    gaps = np.diff(started, prepend=started[:1]) / 60e9
    return Stream(
        steps=np.cumsum([info.length for info in infos], dtype=np.int64),
        minutes=np.cumsum(np.where(gaps > _PAUSE_MIN, 0.0, gaps)),
        forward=np.array([info.direction == "forward" for info in infos], dtype=bool),
        judged=np.array([info.outcome == "success" for info in infos], dtype=bool),
        refereed=np.array([word is not None for word in said], dtype=bool),
        true=np.array([bool(word) for word in said], dtype=bool),
        help_reasons=tuple(str(info.metadata.get("help") or "") for info in infos),
    )


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation on the way: policy at `steps`, one cell as `commands.evaluate.evaluate` writes it."""

    steps: int
    cells: Mapping[str, Mapping[str, Any]]


def curve(root: Path, tuning: str, conditions: Conditions) -> list[CurvePoint]:
    """The evaluations of a fine-tuning's snapshots under conditions, by steps.

    Args:
        root: See `factory.run_folders.evaluations_folder`.
        tuning: See `factory.run_folders.tuning_name`.
        conditions: Which figures are asked for.
    """
    places = {evaluation.place for evaluation in evaluations_in(root)}
    steps = sorted(
        int(place.removeprefix(f"{tuning}/step_")) for place in places if place.startswith(f"{tuning}/step_")
    )
    found = ((count, find_evaluation(root, f"{tuning}/step_{count}", conditions)) for count in steps)
    return [CurvePoint(count, evaluation.result["cells"]) for count, evaluation in found if evaluation is not None]


def open_stream(folder: Path, spec: RobotSpec) -> Stream:
    """The stream of the store at `folder` (read only)."""
    store = TrajectoryStore(folder, spec, read_only=True)
    return stream_of([store.info(name) for name in store.ids()])
