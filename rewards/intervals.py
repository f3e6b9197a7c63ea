"""Figures of a judge with bootstrap intervals by episode: neighbouring frames are alike, so episodes are drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.metrics import auroc, balanced_accuracy, expected_calibration_error, false_positive_rate_at_recall
from trajectories.errors import ConfigError
from trajectories.types import Float64

FIGURES = ("balanced_accuracy", "auroc", "false_positives_at_95_recall", "calibration_error")
DRAWS = 300
"""Resamples of an interval."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class JudgedFrames:
    """Single frames, the truth of each, and what a judge read from it.

    Attributes:
        done: bool (N,), the truth.
        probability: float64 (N,), the judge's.
        above: bool (N,), whether it counts the frame as done.
        episode: (N,), the episode that each is of.
        groups: Name of a grouping ("kind", "camera", "shift", "task") -> the group of each frame (N,).
    """

    done: NDArray[np.bool_]
    probability: Float64
    above: NDArray[np.bool_]
    episode: NDArray[np.str_]
    groups: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.done)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> JudgedFrames:
        """Some of the frames, or all of them some times."""
        return JudgedFrames(
            self.done[chosen],
            self.probability[chosen],
            self.above[chosen],
            self.episode[chosen],
            {name: group[chosen] for name, group in self.groups.items()},
        )

    @staticmethod
    def of(rows: Sequence[tuple[bool, float, bool, str, Mapping[str, str]]]) -> JudgedFrames:
        """Frames one by one: truth, probability, above, episode, groups.

        Raises:
            ConfigError: When there are none.
        """
        if not rows:
            raise ConfigError("There is not one frame whose truth is known, so that there is nothing to measure.")
        done, probability, above, episode, groups = zip(*rows, strict=True)
        return JudgedFrames(
            np.array(done, bool),
            np.array(probability, np.float64),
            np.array(above, bool),
            np.array(episode, np.str_),
            {name: np.array([one[name] for one in groups], np.str_) for name in groups[0]},
        )


def figures_of(frames: JudgedFrames) -> dict[str, float]:
    """The figures `FIGURES`; NaN for one that needs both classes where there is one. Accuracy is at the threshold."""
    return {
        "balanced_accuracy": balanced_accuracy(frames.done, frames.above),
        "auroc": auroc(frames.done, frames.probability),
        "false_positives_at_95_recall": false_positive_rate_at_recall(frames.done, frames.probability),
        "calibration_error": expected_calibration_error(frames.done, frames.probability),
    }


def with_intervals(frames: JudgedFrames, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """The figures with percentile intervals over episodes that are drawn anew, as plain JSON.

    Args:
        frames: What was judged.
        draws: Resamples; one without both classes leaves out the figures that need them.
        seed: Of the draws.

    Returns:
        {"frames", "done", "episodes", and for each of `FIGURES`: [value, low, high], each None where it can't be
        said}.
    """
    names, index = np.unique(frames.episode, return_inverse=True)
    rows = [np.flatnonzero(index == number) for number in range(len(names))]
    rng, drawn = np.random.default_rng(seed), {name: np.full(draws, np.nan) for name in FIGURES}
    for draw in range(draws):
        chosen = np.concatenate([rows[number] for number in rng.integers(len(rows), size=len(rows))])
        for name, value in figures_of(frames[chosen]).items():
            drawn[name][draw] = value
    tail = (1.0 - CONFIDENCE) / 2
    found: dict[str, Any] = {"frames": len(frames), "done": int(frames.done.sum()), "episodes": len(names)}
    for name, value in figures_of(frames).items():
        finite = drawn[name][np.isfinite(drawn[name])]
        low, high = np.quantile(finite, [tail, 1 - tail]) if len(finite) else (np.nan, np.nan)
        found[name] = [None if np.isnan(one) else float(one) for one in (value, low, high)]
    return found


def grouped_figures(frames: JudgedFrames, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """`with_intervals` of all frames and of every group of every grouping.

    A group of the grouping "kind" that has no frame that is done, such as a kind of failure, is measured together with
    all frames that are done: how well it is told from them.

    Returns:
        {"all": figures, "by_NAME": {group: figures}}.
    """
    found: dict[str, Any] = {"all": with_intervals(frames, draws, seed)}
    for name, groups in frames.groups.items():
        found[f"by_{name}"] = {}
        for group in sorted(set(groups.tolist())):
            chosen = groups == group
            if name == "kind" and not frames.done[chosen].any():
                chosen |= frames.done
            found[f"by_{name}"][group] = with_intervals(frames[chosen], draws, seed)
    return found


def interval_table(figures: Mapping[str, Any]) -> str:
    """`grouped_figures` as lines for a terminal."""
    titles = ("bal. accuracy", "AUROC", "FPR at 95 %", "cal. error")
    lines = [f"{'':26}{'episodes':>9}" + "".join(f"{title:>21}" for title in titles)]
    rows = [("all", figures["all"])]
    for name, groups in figures.items():
        if name != "all" and len(groups) > 1:
            rows += [(f"{name.removeprefix('by_')}: {group}", row) for group, row in groups.items()]
    for title, row in rows:
        cells = "".join(f"{_cell(row[name]):>21}" for name in FIGURES)
        lines.append(f"{title[:26]:26}{row['episodes']:>9}{cells}")
    return "\n".join(lines)


def _cell(figure: Sequence[float | None]) -> str:
    value, low, high = figure
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.2f} to {high:.2f})"
