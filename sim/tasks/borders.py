"""Places on the border of a surface, on any side of it."""

from __future__ import annotations

import math

import numpy as np

from sim.scene.spec import FixtureInfo, ObjectInfo
from sim.tasks.predicates import BASE_SHARE, HIDDEN_SHARE, OVERHANG
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


def last_apart(item: ObjectInfo, base: ObjectInfo) -> float:
    """How far beside the middle of another object the middle of one that stands on it may be, m; of a lid, lie on it.

    0 for a lid that is too small wherever it lies.
    """
    if not base.opening:
        return BASE_SHARE * min(base.half_extent)
    reach = max(base.half_extent) + max(item.half_extent)
    return max((apart for apart in np.arange(0.0, reach, 5e-4) if item.hides(base, apart) >= HIDDEN_SHARE), default=0.0)
