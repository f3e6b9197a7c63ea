"""Histograms of a source's actions and proprioception, beside those of the store or the arm's ranges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factory.arm import DEFAULT_ARM
from robot.arms.registry import arm_model
from trajectories.types import Float32, RobotSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTIONS = ("Δx", "Δy", "Δz", "Δroll", "Δpitch", "Δyaw", "gripper")
_COLUMNS = 4
_BINS = 40


@dataclass(frozen=True)
class Compared:
    """What is drawn.

    Attributes:
        source: Its name.
        actions: float32 (N, 7) of the source.
        proprio: float32 (M, P) of the source.
        ours: The same two of the store; None where it has none of its own.
        spec: Of the store.
        arm: Whose ranges are marked; None: the WidowX 250 S of the twin.
    """

    source: str
    actions: Float32
    proprio: Float32
    ours: tuple[Float32, Float32] | None
    spec: RobotSpec
    arm: str | None


def draw_histograms(path: Path, compared: Compared) -> None:
    """Write a PNG: one chart an entry, the source in blue, the store in orange, the arm's range shaded."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    spec = compared.spec
    names = [*ACTIONS, *spec.proprio]
    values = [*compared.actions.T, *compared.proprio.T]
    ours = [None] * len(names) if compared.ours is None else [*compared.ours[0].T, *compared.ours[1].T]
    ranges = nominal_ranges(spec, compared.arm)
    rows = -(-len(names) // _COLUMNS)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(3.2 * _COLUMNS, 2.0 * rows), squeeze=False)
    for axis, name, value, own in zip(axes.flat, names, values, ours, strict=False):
        _draw(axis, name, value, own, ranges.get(name))
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    figure.suptitle(f"{compared.source} (blue), the store's own (orange), the range of the arm (shaded)")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def nominal_ranges(spec: RobotSpec, arm: str | None) -> dict[str, tuple[float, float]]:
    """Entry -> smallest and largest value on the arm, of those that have a range."""
    model = arm_model(arm or DEFAULT_ARM)
    limits = model.limits()
    ranges = dict.fromkeys((*ACTIONS, "gripper_command", "gripper_effort"), (-1.0, 1.0))
    for where in ("tip", "target"):
        for i, axis in enumerate("xyz"):
            ranges[f"{where}_{axis}"] = (model.position_lower[i], model.position_upper[i])
        for i, axis in enumerate(("roll", "pitch", "yaw")):
            ranges[f"{where}_{axis}"] = (limits.rpy_lower[i], limits.rpy_upper[i])
    ranges["gripper_width"] = (0.0, model.opening)
    return {name: found for name, found in ranges.items() if name in (*ACTIONS, *spec.proprio)}


def _draw(axis: Axes, name: str, values: Float32, ours: Float32 | None, nominal: tuple[float, float] | None) -> None:
    shown = values if ours is None else np.concatenate([values, ours])
    low, high = float(shown.min()), float(shown.max())
    if nominal is not None:
        axis.axvspan(*nominal, color="0.92")
        low, high = min(low, nominal[0]), max(high, nominal[1])
    bins = np.linspace(low, high if high > low else low + 1e-6, _BINS + 1).tolist()
    axis.hist(values, bins, density=True, color="tab:blue", alpha=0.6)
    if ours is not None:
        axis.hist(ours, bins, density=True, color="tab:orange", alpha=0.5)
    axis.set_title(name, fontsize=9)
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
