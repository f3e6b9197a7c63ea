"""A matrix for people: one HTML file that needs nothing else, and a picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.evaluate.axes import CONTROL
from commands.evaluate.matrix_figures import MATRIX, cell_names, in_points, told_apart
from commands.report.charts import svg
from commands.report.statistics import paired_interval
from commands.report.templates import page_template
from trajectories.durable import replace_file

_WORSE, _BETTER, _ALIKE, _BASE, _NONE, _FAILED = "#f4b9ae", "#b4dfb8", "#ffffff", "#eef2f6", "#f4f4f4", "#f7e3a1"
Starts = Mapping[tuple[str, str], Path]
"""(Task, change) -> PNG of how its first episode began, where it is there."""


def write_pages(out: Path, figures: Mapping[str, Any], starts: Starts) -> None:
    """Write `matrix.html`, `matrix.svg` and, as the last, `matrix.json` into a folder."""
    replace_file(out / "matrix.html", html_of(figures, starts).encode())
    replace_file(out / "matrix.svg", picture_of(figures).encode())
    replace_file(out / MATRIX, json.dumps(figures, indent=1).encode())


def html_of(figures: Mapping[str, Any], starts: Starts) -> str:
    """The page."""
    rows = [
        {"task": task, "cell": name.replace("/", ", "), "cells": [_shown(entry, name) for entry in axes.values()]}
        for task, axes in figures["tasks"].items()
        for name in cell_names(figures)
    ]
    cells = [cell for _, _, entry in _entries(figures) for cell in entry.get("cells", {}).values()]
    pictures = [
        {"task": task, "cells": [_picture(task, axis, entry, starts) for axis, entry in axes.items()]}
        for task, axes in figures["tasks"].items()
    ]
    return str(
        page_template("matrix").render(
            figures=figures,
            axes=figures["axes"],
            rows=rows,
            pictures=pictures,
            narrowest=f"{100 * paired_interval(0, 0, figures['episodes'])[2]:.0f}",
            differences=sum("difference" in cell for cell in cells),
            faults=sum(cell["faults"] for cell in cells),
            left_out=sum(cell["left_out"] for cell in cells),
            skipped=[(task, axis, _why(entry)) for task, axis, entry in _entries(figures) if _empty(entry)],
            conditions=_shared_conditions(figures),
        )
    )


def picture_of(figures: Mapping[str, Any]) -> str:
    """The matrix as SVG."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    names = list(figures["axes"])
    rows = [(task, cell) for task in figures["tasks"] for cell in cell_names(figures)]
    with matplotlib.rc_context({"svg.hashsalt": "matrix"}):  # the same figures make the same file
        figure = Figure(figsize=(2.6 + 1.25 * len(names), 1.0 + 0.62 * len(rows)))
        axes = figure.add_subplot()
        for y, (task, cell) in enumerate(rows):
            for x, name in enumerate(names):
                shown = _shown(figures["tasks"][task][name], cell)
                axes.add_patch(Rectangle((x, y), 1, 1, facecolor=shown["colour"], edgecolor="#c8c8c8", lw=0.8))
                axes.text(x + 0.5, y + 0.40, shown["rate"], ha="center", va="center", fontsize=10, weight="bold")
                axes.text(x + 0.5, y + 0.74, shown["change"], ha="center", va="center", fontsize=6.5, color="#444444")
        axes.set(xlim=(0, len(names)), ylim=(len(rows), 0))
        axes.set_xticks([x + 0.5 for x in range(len(names))], [name.replace("_", "\n") for name in names], fontsize=9)
        axes.set_yticks(
            [y + 0.5 for y in range(len(rows))], [f"{t}\n{c.replace('/', ', ')}" for t, c in rows], fontsize=8
        )
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel(
            f"success, and change in points with its paired 95 % interval; {figures['episodes']} episodes a cell, from "
            "the same starts; coloured where the interval leaves out 0",
            fontsize=8,
        )
        return svg(figure)


def _entries(figures: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(task, axis, entry) for task, axes in figures["tasks"].items() for axis, entry in axes.items()]


def _empty(entry: Mapping[str, Any]) -> bool:
    return "cells" not in entry


def _why(entry: Mapping[str, Any]) -> str:
    """Why there are no figures, as the end of a sentence."""
    return str(entry.get("not_applicable") or f"it ended with an error. {entry['error']}").rstrip(".")


def _shown(entry: Mapping[str, Any], name: str) -> dict[str, str]:
    """What one place of the matrix says, and its colour."""
    if _empty(entry):
        return {
            "rate": "–",
            "count": "",
            "change": "error" if "error" in entry else "not in this task",
            "colour": _FAILED if "error" in entry else _NONE,
            "title": _why(entry),
        }
    cell = entry["cells"][name]
    low, high = cell["interval95"]
    if not cell["episodes"]:
        return {"rate": "–", "count": "0/0", "change": "none began", "colour": _FAILED, "title": "none began"}
    shown = {
        "rate": f"{100 * cell['rate']:.0f} %",
        "count": f"{cell['successes']}/{cell['episodes']}",
        "title": f"{100 * low:.0f} to {100 * high:.0f} % (Wilson, 95 %), {cell['mean_steps']:.1f} steps on average",
    }
    if "mean_share" in cell:
        shown["title"] += f", {100 * cell['mean_share']:.0f} % of the parts"
    if cell["left_out"]:
        shown["count"] += f", {cell['left_out']} left out"
    change = cell.get("difference")
    if change is None:
        return shown | {"change": f"({100 * low:.0f} to {100 * high:.0f})", "colour": _BASE}
    shown["title"] += f"; {change['lost']} lost and {change['gained']} gained of {change['pairs']} pairs"
    colour = _ALIKE if not told_apart(change) else _WORSE if change["mean"] < 0 else _BETTER
    return shown | {"change": in_points(change), "colour": colour}


def _picture(task: str, axis: str, entry: Mapping[str, Any], starts: Starts) -> dict[str, str]:
    """How the first episode of a place of the matrix began, and in which words."""
    path = starts.get((task, axis))
    image = path.read_bytes() if path is not None and path.is_file() else None
    words = "" if _empty(entry) else str(entry["episodes"][0]["instruction"])
    return {"axis": axis, "words": words, "image": "" if image is None else base64.b64encode(image).decode()}


def _shared_conditions(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What all controls were measured under."""
    controls = [axes[CONTROL]["conditions"] for axes in figures["tasks"].values()]
    return {name: value for name, value in controls[0].items() if all(one.get(name) == value for one in controls)}
