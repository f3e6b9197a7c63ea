"""What a report shows, gathered from a run's folder: numbers only, no drawing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.evaluate.conditions import Conditions, evaluations_in, find_evaluation
from factory.judges import FIGURES, judge_digest, judge_in_use
from factory.run_folders import reward_folder
from trajectories.kinds import referee_of, was_displaced, was_unsure
from trajectories.store import EpisodeInfo, TrajectoryStore
from trajectories.types import Direction, RobotSpec
from trajectories.verdicts import Verdict, VerdictBook

_PAUSE_MIN = 2.0
"""Minutes between two episodes from which on the run was not going."""


@dataclass(frozen=True)
class Stream:
    """The training stream: one entry an episode of fine-tuning, in order.

    Attributes:
        steps: Environment steps at the end of each episode, those that the model was unsure about left out.
        minutes: Minutes of running since the first episode began; the gap of a pause counts as nothing.
        forward: Whether the episode's direction was forward.
        judged: The reward model's decision.
        decided: Whether it had one; not where a fault cut the episode short, or it was unsure.
        spoken: Whether a person said how it ended, which counts before the reward model.
        said: What the person said; False where nobody has spoken.
        refereed: Whether the physics predicate was asked what it left (evaluation only); nobody can on a real arm.
        true: What it said; False where it wasn't asked.
        help_reasons: Why help was asked for before it, "" where it was not.
        displaced: Whether the arm set down elsewhere what it held: it came to no end, and nobody was asked.
        faults: What cut each episode short, a person's hold or a fault; "" where it came to its end.
    """

    steps: NDArray[np.int64]
    minutes: NDArray[np.float64]
    forward: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    spoken: NDArray[np.bool_]
    said: NDArray[np.bool_]
    refereed: NDArray[np.bool_]
    true: NDArray[np.bool_]
    displaced: NDArray[np.bool_]
    help_reasons: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def helped(self) -> NDArray[np.bool_]:
        """Whether the scene was reset before each episode."""
        return np.array([bool(reason) for reason in self.help_reasons], dtype=bool)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The outcome that counts: a person's, else the reward model's."""
        return np.where(self.spoken, self.said, self.judged)

    @property
    def overruled(self) -> dict[str, int]:
        """Episodes that persons spoke about, by what they said of the reward model's decision.

        "agreed", "not_done" (it had said done), "done" (it had said not done), "open" (it had decided nothing).
        """
        both = self.spoken & self.decided
        return {
            "agreed": int(np.sum(both & (self.said == self.judged))),
            "not_done": int(np.sum(both & self.judged & ~self.said)),
            "done": int(np.sum(both & ~self.judged & self.said)),
            "open": int(np.sum(self.spoken & ~self.decided)),
        }

    @property
    def confusion(self) -> dict[str, int]:
        """Episodes by what the reward model said and what was true, of those that the predicate was asked about."""
        done, not_done = self.judged & self.refereed, ~self.judged & self.decided & self.refereed
        return {
            "true_positive": int(np.sum(done & self.true)),
            "false_positive": int(np.sum(done & ~self.true)),
            "false_negative": int(np.sum(not_done & self.true)),
            "true_negative": int(np.sum(not_done & ~self.true)),
        }

    @property
    def unsure(self) -> int:
        """Episodes of which nobody knows how they ended."""
        return int(np.sum(~self.decided & ~self.spoken & ~self.displaced))

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole stream."""
        return int(self.steps[-1]) if len(self.steps) else 0

    def of(self, direction: Direction) -> NDArray[np.bool_]:
        """Which episodes are of a direction and came to their end, or a person said how they did."""
        return (self.decided | self.spoken) & (self.forward if direction == "forward" else ~self.forward)

    def tally(self, direction: Direction, after: float, until: float, *, truly: bool = False) -> tuple[int, int]:
        """Successes and episodes of a direction, of those that end after `after` steps and by `until` steps.

        Args:
            direction: "forward" or "backward".
            after: Environment steps.
            until: Environment steps.
            truly: Successes by the predicate, of the episodes that it was asked about; otherwise by a person, else by
                the reward model.
        """
        asked = self.of(direction) & (self.steps > after) & (self.steps <= until)
        if truly:
            return int(np.sum(self.true & asked & self.refereed)), int(np.sum(asked & self.refereed))
        return int(np.sum(self.counted & asked)), int(np.sum(asked))

    def success_by_window(
        self, direction: Direction, window: int = 20
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Steps at the end of each episode of a direction; sliding means of counted and true success over `window`."""
        mine = self.of(direction)
        return self.steps[mine], _sliding(self.counted[mine], window), _sliding(self.true[mine], window)


def _sliding(values: NDArray[np.bool_], window: int) -> NDArray[np.float64]:
    total = np.cumsum(np.concatenate([[0.0], values.astype(float)]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (total[ends] - total[starts]) / np.maximum(1, ends - starts)


def stream_of(infos: list[EpisodeInfo], verdicts: Mapping[str, Verdict] | None = None) -> Stream:
    """The stream of fine-tuning episodes, oldest first.

    Args:
        infos: Of the episodes.
        verdicts: Id of an episode -> what a person said that holds.
    """
    by_person = [(verdicts or {}).get(info.id) for info in infos]
    started = np.array([int(info.id.split("-")[0]) for info in infos], dtype=np.int64)
    said = [referee_of(info) for info in infos]
    gaps = np.diff(started, prepend=started[:1]) / 60e9
    return Stream(
        steps=np.cumsum([0 if was_unsure(info) else info.length for info in infos], dtype=np.int64),
        minutes=np.cumsum(np.where(gaps > _PAUSE_MIN, 0.0, gaps)),
        forward=np.array([info.direction == "forward" for info in infos], dtype=bool),
        judged=np.array([info.outcome == "success" for info in infos], dtype=bool),
        decided=np.array([info.outcome != "unknown" for info in infos], dtype=bool),
        spoken=np.array([verdict is not None for verdict in by_person], dtype=bool),
        said=np.array([verdict is not None and verdict.outcome == "success" for verdict in by_person], dtype=bool),
        refereed=np.array([word is not None for word in said], dtype=bool),
        true=np.array([bool(word) for word in said], dtype=bool),
        displaced=np.array([was_displaced(info) for info in infos], dtype=bool),
        help_reasons=tuple(str(info.metadata.get("help") or "") for info in infos),
        faults=tuple(str(info.metadata.get("fault") or "") for info in infos),
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
    return [CurvePoint(count, evaluation.cells) for count, evaluation in found if evaluation is not None]


def open_stream(folder: Path, spec: RobotSpec | None = None) -> Stream:
    """The stream of the store at `folder` (read only), whose robot must be `spec` unless that is None."""
    with TrajectoryStore(folder, spec, read_only=True) as store:
        book, infos = VerdictBook(folder), store.infos()
        held = {info.id: book.of(info.id) for info in infos}
        return stream_of(infos, {id: verdict for id, verdict in held.items() if verdict is not None})


def figures_of_judge(run_dir: Path) -> tuple[dict[str, Any] | None, str]:
    """What `regrasp evaluate-reward` measured of the run's judge on held-out episodes, or why that isn't shown.

    Returns:
        The figures, None without any of the judge in use; a sentence on those that are passed over, "" without any.

    Raises:
        CheckpointError: The note of which judge is in use is damaged.
    """
    path = reward_folder(run_dir) / FIGURES
    if not path.is_file():
        return None, ""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        why = "the file is damaged"
    else:
        if found.get("judge") == judge_digest(judge_in_use(run_dir)):
            return found, ""
        noted = "judge" in found
        why = "they are of another judge than the one in use" if noted else "they don't say of which judge they are"
    return None, (
        f"The figures in {path} are passed over: {why}. `regrasp evaluate-reward`, with the settings of this report, "
        "measures the one in use."
    )
