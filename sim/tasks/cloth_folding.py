"""`cloth_folding`: the near edge of a cloth is laid onto its far edge, and pulled near again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.scene.cloth import COLUMNS, ROWS
from sim.scene.cloth_state import Cloth
from sim.scene.scene import Scene
from sim.scene.spec import ClothSpec, SceneSpec
from sim.tasks.cloth import FLAT_M, REACH, SETTLE_S, ClothTask, half_folded, in_folds
from sim.tasks.moving import Goal
from trajectories.types import Direction, Float64

EDGE_M = 0.03
"""A node of the near edge this near to its partner lies on the far edge, m."""
MOST_APART = 1
"""How many of the near edge's nodes may lie elsewhere."""
FOLDED_SHARE = (0.44, 0.62)
"""Of the cloth's area, that a cloth folded in half covers."""
WIDE_SHARE = 0.85
"""Of the cloth's width, that its far edge keeps."""
UNFOLDED_SHARE = 0.88
"""Of the cloth's area, that an unfolded cloth covers at least; a flat one on the table covers 0.97."""
_MIDDLE_X = (0.280, 0.296)
_NARROW, _WIDE = (0.03, 0.08), (0.07, 0.22)
"""Largest shift of the middle along y, m, and largest turn, rad."""
_HALF = ROWS // 2


@dataclass(frozen=True)
class ClothFolding(ClothTask):
    """Folding and unfolding."""

    def at_goal(self, scene: Scene, direction: Direction) -> bool:
        """Forward: folded in half, flat, the near edge on the far one; backward: unfolded, the near edge near."""
        cloth = scene.cloth
        nodes = cloth.nodes()
        if float(nodes[..., 2].max()) > FLAT_M:
            return False
        share = cloth.shadow() / cloth.area
        if direction == "backward":
            depth = float((nodes[-1, :, 0] - nodes[0, :, 0]).mean())
            return share >= UNFOLDED_SHARE and depth > WIDE_SHARE * cloth.spec.size[0]
        apart = np.linalg.norm(nodes[-1, :, :2] - nodes[0, :, :2], axis=1) > EDGE_M
        width = float(np.linalg.norm(nodes[0, -1, :2] - nodes[0, 0, :2]))
        spread_out = width > WIDE_SHARE * cloth.spec.size[1] and FOLDED_SHARE[0] <= share <= FOLDED_SHARE[1]
        return spread_out and int(apart.sum()) <= MOST_APART

    def tag_goal(self, scene: Scene, direction: Direction) -> Float64:
        """(2,) m: the middle of the far edge, or as far from it as the cloth is long, within reach."""
        nodes = scene.cloth.nodes()
        middle = nodes[0, COLUMNS // 2, :2]
        if direction == "forward":
            return np.clip(middle, *REACH)
        along = nodes[0, -1, :2] - nodes[0, 0, :2]
        away = np.array([along[1], -along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
        return np.clip(middle + scene.cloth.spec.size[0] * away, *REACH)

    def arrange(self, scene: Scene, rng: np.random.Generator, direction: Direction, *, wide: bool) -> None:
        """Flat, or folded in half; on the way there: the edge turned over, or the fold short of the far edge."""
        cloth: Cloth = scene.cloth
        shift, turn = _WIDE if wide else _NARROW
        middle = (float(rng.uniform(*_MIDDLE_X)), float(rng.uniform(-shift, shift)))
        yaw, on_the_way = float(rng.uniform(-turn, turn)), wide and rng.random() < 0.5
        row = ROWS - 1 if direction == "forward" else _HALF
        if on_the_way:
            row = ROWS - 2 if direction == "forward" else _HALF + 1
        cloth.put(in_folds(cloth, middle, yaw, half_folded(row)))
        cloth.settle(SETTLE_S)


CLOTH_FOLDING = ClothFolding(
    name="cloth_folding",
    role="target",
    scene=SceneSpec((), (), ClothSpec("cloth")),
    object="cloth",
    noun="cloth",
    goals={"forward": Goal("folded"), "backward": Goal("unfolded")},
    instructions={
        "forward": (
            "fold the cloth",
            "fold the cloth in half",
            "fold the near edge of the cloth onto the far edge",
            "lay the near edge of the cloth on its far edge",
        ),
        "backward": (
            "unfold the cloth",
            "spread the cloth out flat",
            "unfold the cloth so that it lies flat",
            "pull the edge of the cloth back near",
        ),
    },
    skill="cloth",
)
