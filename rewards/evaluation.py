"""Figures of a success classifier, as plain JSON: by task, by kind of frame, and for whole episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.frames import SUCCESS, label_frames
from rewards.metrics import (
    auroc,
    balanced_accuracy,
    expected_calibration_error,
    false_positive_rate_at_recall,
)
from trajectories.types import Episode


def frame_figures(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    tasks: Sequence[str],
    kinds: Sequence[str],
    above: ArrayLike,
) -> dict[str, Any]:
    """A table of figures on single frames.

    Args:
        labels: (N,) bool, the truth.
        before: (N,) probabilities before calibration.
        after: (N,) probabilities after it.
        tasks: (N,) task of each frame.
        kinds: (N,) what each frame shows, e.g. "hovering", "edge", "occluded".
        above: (N,) bool, whether the reward model counts the frame as done.

    Returns:
        {"all": figures, "by_task": {task: figures}, "by_kind": {kind: {"frames", "successes",
        "rate_above_threshold" of the frames that are no success}}}; a figure that can't be computed is None.
    """
    truth, raw, probability = np.asarray(labels, bool), np.asarray(before, float), np.asarray(after, float)
    task_of, kind_of, counted = np.asarray(tasks), np.asarray(kinds), np.asarray(above, bool)

    def some(rows: NDArray[np.bool_]) -> dict[str, Any]:
        return _figures(truth[rows], raw[rows], probability[rows], counted[rows])

    return {
        "all": _figures(truth, raw, probability, counted),
        "by_task": {str(task): some(task_of == task) for task in sorted(set(tasks))},
        "by_kind": {str(kind): _kind(truth[kind_of == kind], counted[kind_of == kind]) for kind in sorted(set(kinds))},
    }


def decision_figures(ends: Iterable[tuple[Episode, int | None, bool]]) -> dict[str, Any]:
    """`episode_figures` of all episodes, and of those whose end the reward model was sure of.

    Args:
        ends: As there, each with whether the reward model was unsure there.

    Returns:
        `episode_figures`, "unsure": how many of the episodes it was unsure about, and "among_sure": `episode_figures`
        of the others.
    """
    known = [(episode, stop, unsure) for episode, stop, unsure in ends if episode.outcome != "unknown"]
    sure = [(episode, stop) for episode, stop, unsure in known if not unsure]
    return {
        **episode_figures((episode, stop) for episode, stop, _ in known),
        "unsure": len(known) - len(sure),
        "among_sure": episode_figures(sure),
    }


def episode_figures(stops: Iterable[tuple[Episode, int | None]]) -> dict[str, Any]:
    """Figures of decisions on whole episodes.

    Args:
        stops: Episodes, each with the index of the frame at which the reward model first said done, or None. Episodes
            of unknown outcome don't count.

    Returns:
        Counts of successes and failures; "found": share of successes that were recognised by their last
        frame; "premature": share of successes stopped before the last 7 frames; "wrong_stops": share of
        failures that were stopped; "delay_frames": mean and largest number of frames between the first of
        the last 3 frames and the decision.
    """
    found, premature, wrong, delays = [], [], [], []
    for episode, stop in stops:
        if episode.outcome == "unknown":
            continue
        if episode.outcome == "failure":
            wrong.append(stop is not None)
            continue
        labels = label_frames(len(episode), "success")
        first = int(np.flatnonzero(labels == SUCCESS)[0])
        clear = int((labels == 0).sum())
        found.append(stop is not None)
        premature.append(stop is not None and stop < clear)
        if stop is not None and stop >= clear:
            delays.append(max(stop - first, 0))
    return {
        "successes": len(found),
        "failures": len(wrong),
        "found": _mean(found),
        "premature": _mean(premature),
        "wrong_stops": _mean(wrong),
        "delay_frames": {"mean": _mean(delays), "largest": max(delays, default=None)},
    }


def figures_table(figures: dict[str, Any]) -> str:
    """The figures of `frame_figures` by task as lines for a terminal."""
    names = {
        "balanced_accuracy_at_threshold": "bal. accuracy",
        "auroc": "AUROC",
        "false_positives_at_95_recall": "FPR at 95 %",
        "calibration_error_before": "ECE before",
        "calibration_error_after": "ECE after",
    }
    lines = [f"{'task':22}" + "".join(f"{title:>15}" for title in names.values())]
    for task, row in {**figures["by_task"], "all": figures["all"]}.items():
        cells = ["-" if row[key] is None else f"{row[key]:.3f}" for key in names]
        lines.append(f"{task:22}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def _figures(
    truth: NDArray[np.bool_], raw: NDArray[np.float64], probability: NDArray[np.float64], above: NDArray[np.bool_]
) -> dict[str, Any]:
    figures = {
        "balanced_accuracy": balanced_accuracy(truth, probability >= 0.5),
        "balanced_accuracy_at_threshold": balanced_accuracy(truth, above),
        "auroc": auroc(truth, probability),
        "false_positives_at_95_recall": false_positive_rate_at_recall(truth, probability),
        "calibration_error_before": expected_calibration_error(truth, raw),
        "calibration_error_after": expected_calibration_error(truth, probability),
    }
    counts = {"frames": len(truth), "successes": int(truth.sum())}
    return counts | {name: None if np.isnan(value) else value for name, value in figures.items()}


def _kind(truth: NDArray[np.bool_], above: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "frames": len(truth),
        "successes": int(truth.sum()),
        "found": _mean(above[truth]),
        "rate_above_threshold": _mean(above[~truth]),
    }


def _mean(values: ArrayLike) -> float | None:
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else None
