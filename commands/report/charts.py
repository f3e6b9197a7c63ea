"""The charts of a report, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from commands.report.data import CurvePoint, Stream
from trajectories.types import Direction

COLOURS: dict[Direction, str] = {"forward": "#1769aa", "backward": "#c4621a"}
METHOD_COLOURS = ("#1769aa", "#c4621a", "#3a8f3a", "#8a3f9e", "#777777")


def svg(figure: object) -> str:
    """A figure of matplotlib as an element that a page takes."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})  # type: ignore[attr-defined]
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def success_chart(stream: Stream, points: list[CurvePoint], mode: str = "stochastic", window: int = 20) -> str:
    """Success against steps and minutes: the training stream's own, and evaluations with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2))
    axes = figure.add_subplot()
    for direction, colour in COLOURS.items():
        steps, judged, true = stream.success_by_window(direction, window)
        title = f"training, {direction}, by the judge ({window} episodes)"
        axes.plot(steps, 100 * judged, color=colour, lw=1, alpha=0.7, label=title)
        if stream.refereed.any():
            axes.plot(steps, 100 * true, color=colour, lw=1, ls=":", label=f"training, {direction}, predicate")
    for direction, colour in COLOURS.items():
        cells = [(p.steps, p.cells[f"{direction}/{mode}"]) for p in points if f"{direction}/{mode}" in p.cells]
        if not cells:
            continue
        x = np.array([steps for steps, _ in cells])
        y = 100 * np.array([cell["rate"] for _, cell in cells])
        low, high = 100 * np.array([cell["interval95"] for _, cell in cells]).T
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(x, y, "o-", color=colour, lw=2, label=f"evaluation, {direction}, {mode}")
    helps = stream.steps[stream.helped]
    axes.plot(helps, np.full(len(helps), 2.0), "|", color="#b00020", ms=12, label=f"resets by help ({len(helps)})")
    axes.set(xlabel="environment steps of fine-tuning", ylabel="success, %", ylim=(0, 102))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    if len(stream.steps) > 1:
        top = axes.twiny()
        top.set_xlim(axes.get_xlim())
        unit, spent = ("minutes", stream.minutes) if stream.minutes[-1] >= 1 else ("seconds", 60 * stream.minutes)
        ticks = np.linspace(0, spent[-1], 6)
        top.set_xticks(np.interp(ticks, spent, stream.steps), [f"{t:.1f}" for t in ticks])
        top.set_xlabel(f"{unit} of fine-tuning on this machine")
    return svg(figure)


Curve = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def method_chart(curves: Mapping[Direction, Mapping[str, Curve]], what: str = "stochastic actions") -> str:
    """One panel a direction, one line a method: mean success over seeds with its interval.

    Args:
        curves: Direction -> method -> steps, mean, lower and upper bound in percent (bounds NaN for one seed).
        what: What is drawn, for the titles.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8))
    for panel, (direction, methods) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), panel + 1)
        for (name, (steps, mean, low, high)), colour in zip(methods.items(), METHOD_COLOURS, strict=False):
            axes.fill_between(steps, low.clip(0, 100), high.clip(0, 100), color=colour, alpha=0.15, lw=0)
            axes.plot(steps, mean, "o-", color=colour, lw=2, label=name)
        axes.set(xlabel="environment steps of fine-tuning", ylim=(0, 102), title=f"{direction}, {what}")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        if panel == 0:
            axes.set_ylabel("success over seeds, %")
            axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return svg(figure)
