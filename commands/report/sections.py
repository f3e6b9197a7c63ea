"""The parts of a report as texts and rows of tables, from what the run left."""

from __future__ import annotations

import base64
import itertools
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from commands.evaluate.conditions import Evaluation
from commands.report.data import Stream
from commands.report.statistics import format_rate
from trajectories.kinds import AFTERMATH
from trajectories.types import DIRECTIONS, Direction

PARTS = 6
"""Into so many equal parts the steps of a training stream are divided."""
SHARES = 3
"""The first and the last of so many equal parts are compared."""
_REASON = 160
"""Letters of a fault that are shown."""


def cells_of(evaluation: Evaluation | None) -> Mapping[str, Any]:
    """The cells of an evaluation, "forward/stochastic" and so on; empty without one."""
    return {} if evaluation is None else evaluation.cells


def headline(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> str:
    """One line: success before and after by evaluation, or, without one, in the first and last share of the stream."""
    if after:
        name = "forward/stochastic" if "forward/stochastic" in after else next(iter(after))
        return f"{_cell(before, name)} → {_cell(after, name)} ({name.replace('/', ', ')})"
    return f"{_ends(stream, 'forward')} (forward, in training, by the judge)"


def cards(
    before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream, seconds: Mapping[str, float]
) -> list[dict[str, str]]:
    """The figures at the top: label, value, note."""
    found = [
        {"label": name.replace("/", ", "), "value": f"{_cell(before, name)} → {_cell(after, name)}", "note": ""}
        for name in ("forward/stochastic", "backward/stochastic")
        if name in after
    ]
    for way in DIRECTIONS if not found else ():
        note = f"by the judge, first and last 1/{SHARES} of the steps"
        found.append({"label": f"{way}, in training", "value": _ends(stream, way), "note": note})
    note = f"in {len(stream.judged)} training episodes"
    found.append(
        {"label": "resets needed", "value": str(int(stream.helped.sum())), "note": f"in {stream.total_steps} steps"}
    )
    if stream.displaced.any():
        found.append({"label": "set down elsewhere", "value": str(int(stream.displaced.sum())), "note": note})
    found.append({"label": "holds and faults", "value": str(sum(map(bool, stream.faults))), "note": note})
    if stream.refereed.any():
        found.append({"label": "false positives", "value": str(stream.confusion["false_positive"]), "note": note})
    minutes = sum(seconds.values()) / 60 if seconds else minutes_of_training(stream)
    label = "everything took" if seconds else "fine-tuning took"
    return [*found, {"label": label, "value": f"{minutes:.1f} min", "note": "on this machine"}]


def minutes_of_training(stream: Stream) -> float:
    """From the first episode's beginning to the last one's, pauses left out."""
    return float(stream.minutes[-1]) if len(stream.minutes) else 0.0


def _ends(stream: Stream, direction: Direction) -> str:
    """Success by the judge in the first and the last share of the steps, e.g. `2/9 → 8/9`."""
    tallies = first_and_last(stream, direction, stream.total_steps)
    return " → ".join(f"{done}/{trials}" if trials else "-" for done, trials in tallies)


def first_and_last(stream: Stream, direction: Direction, steps: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Successes by the judge and episodes in the first and in the last of `SHARES` equal shares of so many steps."""
    share = steps / SHARES
    return stream.tally(direction, 0, share), stream.tally(direction, steps - share, steps)


def in_parts(stream: Stream) -> list[dict[str, str]]:
    """A row for each of `PARTS` equal parts of the steps: which, and success of both directions with 95 % intervals.

    Keys "steps", "forward", "backward", and "truly forward", "truly backward" where the predicate was asked.
    """
    edges = np.linspace(0, stream.total_steps, PARTS + 1).round().astype(int)
    rows = []
    for after, until in itertools.pairwise(edges):
        if until == after:
            continue
        row = {"steps": f"{after}–{until}"}
        for way in DIRECTIONS:
            row[way] = _rate(*stream.tally(way, after, until))
            if stream.refereed.any():
                row[f"truly {way}"] = _rate(*stream.tally(way, after, until, truly=True))
        rows.append(row)
    return rows


def _rate(successes: int, trials: int) -> str:
    return format_rate(successes, trials) if trials else "-"


def faults(stream: Stream) -> list[dict[str, str]]:
    """What cut episodes short, with how often, most frequent first; reasons that differ in numbers alone are one."""
    kinds = [re.sub(r"\d+(\.\d+)?", "", reason) for reason in stream.faults]
    rows = []
    for kind, count in Counter(filter(None, kinds)).most_common():
        first = stream.faults[kinds.index(kind)]
        reason = first if len(first) <= _REASON else f"{first[:_REASON]} …"
        rows.append({"reason": f"{reason} (the first of them)" if count > 1 else reason, "count": str(count)})
    return rows


def _cell(cells: Mapping[str, Any], name: str) -> str:
    cell = cells.get(name)
    return "-" if cell is None else f"{100 * cell['rate']:.0f} %"


def _with_unsure(cell: Mapping[str, Any]) -> str:
    unsure = f", {cell['unsure']} unsure" if cell.get("unsure") else ""
    return format_rate(cell["successes"], cell["episodes"]) + unsure


def rows_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each direction and mode that was evaluated before or after."""
    rows = []
    for name in dict.fromkeys([*after, *before]):
        start, end = before.get(name), after.get(name)
        rows.append(
            {
                "name": name.replace("/", ", "),
                "before": _with_unsure(start) if start else "-",
                "after": _with_unsure(end) if end else "-",
                "change": f"{100 * (end['rate'] - start['rate']):+.0f} points" if start and end else "-",
                "steps": f"{start['mean_steps']:.0f} → {end['mean_steps']:.0f}" if start and end else "-",
            }
        )
    return rows


def reward_table(reward: dict[str, Any] | None) -> list[list[str]]:
    """Figures of the reward model on held-out episodes; empty without any."""
    if reward is None:
        return []
    frames, whole = reward["frames"], reward["whole_episodes"]
    row = frames["all"]
    table = [
        ["figure", "value"],
        ["balanced accuracy of frames", f"{row['balanced_accuracy_at_threshold']:.3f}"],
        ["AUROC", f"{row['auroc']:.3f}"],
        ["false positives at 95 % recall", f"{100 * row['false_positives_at_95_recall']:.1f} %"],
        [
            "calibration error before → after",
            f"{row['calibration_error_before']:.3f} → {row['calibration_error_after']:.3f}",
        ],
        [f"successes found, of {whole['successes']} episodes", _percent(whole["found"])],
        [f"failures stopped wrongly, of {whole['failures']} episodes", _percent(whole["wrong_stops"])],
    ]
    for kind, entry in frames["by_kind"].items():
        if kind == AFTERMATH:
            table.append(["done tasks recognised from the arm's home pose", _percent(entry["found"])])
        elif kind != "success":
            table.append([f"frames above the threshold, {kind}", _percent(entry["rate_above_threshold"])])
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def persons_words(stream: Stream) -> str:
    """What people said about the judge's decisions, in words; empty where nobody has spoken."""
    words = stream.overruled
    if not (total := sum(words.values())):
        return ""
    parts = [f"{words['agreed']} times they agreed", f"{words['not_done']} times done was not done"]
    parts.append(f"{words['done']} times not done was done")
    if words["open"]:
        parts.append(f"{words['open']} times the judge had decided nothing")
    return (
        f"People spoke about {total} episodes: {', '.join(parts)}. Their word counts in every figure of success above."
    )


def resets(stream: Stream) -> str:
    """How often help was asked for, and why, in words."""
    reasons: dict[str, int] = {}
    for reason in stream.help_reasons:
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
    if not reasons:
        return "None: the robot undid its own work all the way."
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    return f"{sum(reasons.values())} in {len(stream.judged)} episodes ({listed}). Evaluations have a fresh scene each."


def videos(evaluation: Evaluation | None, when: str) -> list[dict[str, Any]]:
    """The evaluation's films as base64 with captions, below one title; empty without any."""
    if evaluation is None:
        return []
    films = [
        {
            "data": base64.b64encode((Path(evaluation.folder) / name).read_bytes()).decode(),
            "caption": name.removesuffix(".mp4").replace("_", " "),
        }
        for name in evaluation.result["videos"]
    ]
    return [{"title": f"{when} fine-tuning", "films": films}] if films else []
