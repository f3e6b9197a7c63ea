"""Places on the border of a surface, on any side of it."""

from __future__ import annotations

import math

import numpy as np

from sim.scene.spec import FixtureInfo, ObjectInfo
from sim.tasks.predicates import OVERHANG
from sim.tasks.task import REACH_X, REACH_Y
from trajectories.types import Float64


def border_place(fixture: FixtureInfo, across: float, rng: np.random.Generator) -> Float64:
    """A point `across` (m) beyond the border of a fixture's surface, on any side or corner that the arm reaches.

    Args:
        fixture: Whose surface.
        across: How far outside of the border, m; negative inside.
        rng: Draws side and place.

    Returns:
        float64 (2,) in the base frame, m.
    """
    angle = rng.uniform(0, 2 * math.pi)
    half = np.array(fixture.half_extent) + across
    if fixture.is_round:
        offset = half[0] * np.array([math.cos(angle), math.sin(angle)])
    else:
        offset = half * rng.uniform(-1.0, 1.0, 2)
        axis = int(rng.integers(2))
        offset[axis] = math.copysign(half[axis], math.cos(angle))
    place = fixture.point(*offset)
    return np.clip(place, (REACH_X[0], REACH_Y[0]), (REACH_X[1], REACH_Y[1]))


def last_across(item: ObjectInfo) -> float:
    """How far beyond a surface's border the middle of an object may be for it to stand there still, m: negative."""
    return OVERHANG - max(item.half_extent)
