"""Curves of a bench with confidence bands, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from commands.bench.results import Cell, common_steps, estimate_of, groups, main_measures

_COLOURS = (
    "#1769aa", "#c4621a", "#3a8f3a", "#8a3f9e", "#b00020", "#777777", "#00897b", "#9a7d0a", "#5d4037", "#d81b60",
)  # fmt: skip


def bench_chart(env: str, cells: Sequence[Cell], shared: Sequence[str] = ()) -> str:
    """One panel a mode, one line a method: the mean over seeds, with the 95 % interval as a band.

    A method without online steps is a dashed line; the band of a single seed is left out.

    Args:
        env: The environment, for the title.
        cells: All of that environment.
        shared: Changes that labels leave out.
    """
    from matplotlib.figure import Figure

    measures = main_measures(cells)
    figure = Figure(figsize=(5.4 * len(measures), 4.0))
    for number, measure in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), number + 1)
        mode, _, kind = measure.partition("/")
        scale = 100.0 if kind == "success" else 1.0
        for index, (label, mine) in enumerate(groups(cells, shared).items()):
            steps = common_steps(mine, measure)
            episodes = [cell.episodes for cell in mine]
            values = ([cell.points[measure][step] for cell in mine] for step in steps)
            spreads = [estimate_of(measure, episodes, each) for each in values]
            mean, low, high = (
                scale * np.array([getattr(s, name) for s in spreads]) for name in ("mean", "low", "high")
            )
            colour, title = _COLOURS[index % len(_COLOURS)], f"{label} ({len(mine)})"
            if steps == [0]:
                axes.axhline(mean[0], color=colour, ls="--", lw=1.5, label=title)
                continue
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
            axes.plot(steps, mean, color=colour, lw=2, label=title)
        axes.set(xlabel="environment steps", title=f"{env}, {mode} actions")
        axes.set_ylabel("success, %" if kind == "success" else "return")
        if kind == "success":
            axes.set_ylim(-2, 102)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        if number == len(measures) - 1:
            axes.legend(
                loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, title="method (seeds)"
            )
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight")
    text = buffer.getvalue()
    return text[text.index("<svg") :]
