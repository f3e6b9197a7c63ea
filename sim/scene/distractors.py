"""Things that no task needs, beside the workspace: drawn only, nothing touches them."""

from __future__ import annotations

import copy
import math

import mujoco
import numpy as np

from sim.scene.objects import OBJECTS
from sim.scene.shapes import Shape, add_shapes, tint
from sim.scene.spec import SceneSpec

_KINDS = ("can", "sponge", "carrot", "puck", "vase", "cube", "block")
"""Kinds that stand or lie there; in a scene, those of them that it doesn't have itself."""
_PLACES = (
    ((0.395, 0.430), (-0.150, -0.035)),
    ((0.395, 0.430), (0.035, 0.150)),
    ((0.080, 0.145), (-0.185, -0.105)),
    ((0.080, 0.145), (0.105, 0.185)),
)
"""(x, y) ranges, m, in view of the front camera: behind what can be reached, and on both sides of the arm's base."""
_AWAY = (0.0, 0.0, -2.0)
"""Below the floor, m: where those are that a draw leaves out."""


class Distractors:
    """Adds things to a scene before it is compiled, and draws which of them stand where afterwards.

    Args:
        spec: What the scene consists of.
        count: How many of them are seen at a time, at most as many as there are places.
    """

    def __init__(self, spec: SceneSpec, count: int) -> None:
        taken = {item.kind for item in spec.objects}
        self._kinds = tuple(kind for kind in _KINDS if kind not in taken)
        self._count = min(count, len(_PLACES))

    def add(self, model: mujoco.MjSpec) -> None:
        """Add them all, out of sight."""
        for kind in self._kinds:
            body = model.worldbody.add_body(name=_name(kind), pos=_AWAY)
            add_shapes(body, self._shapes(kind), OBJECTS[kind].colour, movable=False, material="smooth")

    def draw(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        """Draw kinds, places and colours without taking a number from `rng`, so that all else stays as it is drawn."""
        own = np.random.default_rng(copy.deepcopy(rng).integers(2**63))
        for kind in self._kinds:
            model.body(_name(kind)).pos = _AWAY
        kinds, places = own.permutation(len(self._kinds)), own.permutation(len(_PLACES))
        for kind, place in zip(kinds[: self._count], places, strict=False):
            body = model.body(_name(self._kinds[kind]))
            (left, right), (low, high) = _PLACES[place]
            body.pos = (own.uniform(left, right), own.uniform(low, high), 0.0)
            half = own.uniform(-math.pi, math.pi) / 2
            body.quat = (math.cos(half), 0.0, 0.0, math.sin(half))
            red, green, blue = own.uniform(0.05, 0.95, 3)
            for number, shape in enumerate(self._shapes(self._kinds[kind])):
                model.geom_rgba[body.geomadr[0] + number] = tint(shape.tone, (float(red), float(green), float(blue)))

    @staticmethod
    def _shapes(kind: str) -> tuple[Shape, ...]:
        """What is seen of a kind."""
        return tuple(
            Shape(s.kind, s.size, s.at, s.tone, touch=False, visible=True, axis=s.axis, yaw=s.yaw)
            for s in OBJECTS[kind].shapes
            if s.visible
        )


def _name(kind: str) -> str:
    return f"distractor_{kind}"
