"""Strokes: when a tool that stays in the gripper works, read off the height of the tip.

A tool works where it is down, at the bottom of what the tip went through in the episode: a board that sweeps, a sponge
that wipes. Where it comes down is where the things were that it was meant for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.types import Float32

DOWN, UP = 0.2, 0.35
"""Shares of the range of heights: below the first a tool comes down, above the second it is lifted off."""
LEAST_RANGE = 0.02
"""m, a tip that stays within this comes down nowhere."""


@dataclass(frozen=True)
class Stroke:
    """One stretch of frames in which the tool was down.

    Attributes:
        down: First frame.
        last: Last frame, from which the tool is lifted off.
    """

    down: int
    last: int


def find_strokes(height: Float32) -> list[Stroke]:
    """Find when a tool was down.

    Args:
        height: float32 (N,) of the tip, m.

    Returns:
        In order of time. One that the episode ended in counts.
    """
    height = np.asarray(height)
    low, high = float(height.min()), float(height.max())
    if high - low < LEAST_RANGE:
        return []
    comes_down, lifts_off = (low + share * (high - low) for share in (DOWN, UP))
    strokes, down = [], None
    for frame, now in enumerate(height.tolist()):
        if down is None and now < comes_down:
            down = frame
        elif down is not None and now > lifts_off:
            strokes.append(Stroke(down, frame - 1))
            down = None
    if down is not None:
        strokes.append(Stroke(down, len(height) - 1))
    return strokes
