"""`cube_covering`: a cloth is pulled over a cube by its tag, and off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.physics import rotation
from sim.scene.cloth import RADIUS, ROWS
from sim.scene.scene import Scene
from sim.scene.spec import ClothSpec, ObjectSpec, SceneSpec
from sim.scene.surroundings import FRONT_POSITION
from sim.tasks.cloth import REACH, SETTLE_S, ClothTask, in_folds
from sim.tasks.moving import Goal
from sim.tasks.predicates import HEIGHT_TOLERANCE, STILL_NS, at_rest
from trajectories.types import Direction, Float64

CUBE = "cube"
TOP_TOLERANCE = 0.004
"""How far below the cube's top the cloth may hang at its edges and still hide it, m."""
CLEAR_M = 0.006
"""An uncovered cube has no cloth above it up to this far beside it, m: more than a pixel, so that it can be seen."""
BEYOND_M = 0.006
"""A covered cube has cloth above all that is up to this far beside it, m, so that no side of it can be seen."""
CLEAR_OF_CUBE_M = 0.03
"""Seen from the front, the hand that has let the cloth go over the cube is this far behind the cube's middle, m."""
LYING_M = 0.035
"""Height of the highest node of a cloth that lies beside the cube, crumpled or not, m."""
_CUBE_X, _CUBE_Y, _CUBE_YAW = (0.306, 0.318), 0.05, 0.35
_BEYOND = 0.053
"""How far before the cube's middle the tag is laid, m."""
_BEHIND = 0.135
"""How far behind the cube's middle the tag is laid, m."""
_BESIDE, _BARELY = 0.034, 0.055
"""From the cube's middle to the near edge of a cloth behind it, and of one that but just hides it, m."""
_ASIDE, _TURN = 0.015, 0.12
"""Largest shift of the cloth along y against the cube, m, and its largest turn, rad."""
_FOLDS = ((0, 1, 2, 3, 2, 3, 4), (0, 1, 2, 1, 2, 3, 4), (0, 1, 2, 1, 2, 1, 2), tuple(range(ROWS)))
"""How it may lie behind the cube, as of `in_folds`; the last is flat."""
_CREASE = 0.006
"""Largest height of its creases before it settles, m."""
_GRID = 7


@dataclass(frozen=True)
class CubeCovering(ClothTask):
    """Covering and uncovering."""

    def at_goal(self, scene: Scene, direction: Direction) -> bool:
        """Forward: from above, cube and table around it are below the cloth; backward: no cloth above, and it lies."""
        if abs(float(self._middle(scene)[2]) - scene.object(CUBE).height / 2) > HEIGHT_TOLERANCE:
            return False
        if direction == "forward":
            return self._hidden(scene)
        high = float(scene.cloth.nodes()[..., 2].max())
        return high < LYING_M and not bool(scene.cloth.covered(self._outline(scene, CLEAR_M))[0].any())

    def stays(self, scene: Scene, direction: Direction) -> bool:
        """Forward: it is low, hides the cube in 0.4 s and 1.2 s, too, and the cube rests; a cloth sags for a while."""
        if direction == "backward":
            return super().stays(scene, direction)
        low = float(scene.cloth.nodes()[..., 2].max()) < scene.object(CUBE).height + LYING_M
        return low and at_rest(scene, [CUBE]) and all(self._hidden(scene, ahead * STILL_NS) for ahead in (1, 3))

    def hides(self, scene: Scene, direction: Direction) -> bool:
        """Forward: until the hand is seen behind the cube; a cube beside the cloth would be hidden by it as well."""
        if direction == "backward":
            return False
        tip, eye = scene.physics.tip_position(), np.asarray(FRONT_POSITION)
        behind = tip + (eye - tip) * (tip[2] / (tip[2] - eye[2]))
        return bool(behind[0] > self._middle(scene)[0] - CLEAR_OF_CUBE_M)

    def lost(self, scene: Scene) -> str | None:
        """Why the robot can't go on by itself, or None: the tag is out of reach, or the cube."""
        x, y, _ = self._middle(scene)
        if not (0.24 <= x <= 0.35 and abs(y) <= 0.12):
            return "the cube left the workspace"
        return super().lost(scene)

    def tag_goal(self, scene: Scene, direction: Direction) -> Float64:
        """(2,) m: before the cube, or behind it on the arm's side."""
        cube = self._middle(scene)
        shift = _BEYOND if direction == "forward" else -_BEHIND
        return np.clip((cube[0] + shift, cube[1]), *REACH)

    def arrange(self, scene: Scene, rng: np.random.Generator, direction: Direction, *, wide: bool) -> None:
        """The cube somewhere; the cloth in folds or flat behind it, or over it.

        On the way there: one of its corners on the cube, or the cube but just below it.
        """
        cube = self.place_cube(scene, rng)
        cloth, on_the_way = scene.cloth, wide and rng.random() < 0.5
        aside, yaw = float(rng.uniform(-_ASIDE, _ASIDE)), float(rng.uniform(-_TURN, _TURN))
        half = cloth.spec.size[0] / 2
        if direction == "forward":
            order = _FOLDS[int(rng.integers(len(_FOLDS) if wide else len(_FOLDS) - 1))]
            edge = cloth.spec.size[0] * (max(order) / (ROWS - 1) - 0.5)
            x = float(cube[0]) - _BESIDE - edge
            nodes = in_folds(cloth, (x, float(cube[1]) + (2 if on_the_way else 1) * aside), yaw, order)
            nodes[..., 2] += rng.uniform(0.0, _CREASE, nodes.shape[:2])
        else:
            x = float(cube[0]) + (_BARELY if on_the_way else _BEYOND) - half
            nodes = cloth.lay((x, float(cube[1]) + aside), yaw)
            nodes[..., 2] += scene.object(CUBE).height + RADIUS
        cloth.put(nodes)
        cloth.settle(SETTLE_S)

    def place_cube(self, scene: Scene, rng: np.random.Generator) -> Float64:
        """Stand the cube where an episode may begin; (2,) m."""
        cube = np.array([rng.uniform(*_CUBE_X), rng.uniform(-_CUBE_Y, _CUBE_Y)])
        scene.place(CUBE, (*cube, 0.0005), float(rng.uniform(-_CUBE_YAW, _CUBE_YAW)))
        return cube

    def _middle(self, scene: Scene) -> Float64:
        """(3,) m: the middle of the cube, which may lie on any of its sides."""
        position, quaternion = scene.physics.body_pose(CUBE)
        return position + rotation(quaternion)[:, 2] * scene.object(CUBE).height / 2

    def _outline(self, scene: Scene, margin: float) -> Float64:
        """(N, 2) m: a grid over the cube seen from above, reaching `margin` beyond its edges."""
        axes = rotation(scene.physics.body_pose(CUBE)[1])
        side = axes[:2, int(np.abs(axes[2]).argmin())]
        side = side / np.linalg.norm(side)
        extent = scene.object(CUBE).half_extent[0] + margin
        grid = np.stack(np.meshgrid(*2 * (np.linspace(-extent, extent, _GRID),)), axis=-1).reshape(-1, 2)
        return grid @ np.array([side, [-side[1], side[0]]]) + self._middle(scene)[:2]

    def _hidden(self, scene: Scene, ahead_ns: int = 0) -> bool:
        """Whether cube and table around it have cloth above them, now or later; the cube is where it is now."""
        top, around = self._outline(scene, 0.0), self._outline(scene, BEYOND_M)
        above, height = scene.cloth.covered(np.concatenate([top, around]), ahead_ns)
        return bool(above.all() and (height[: len(top)] > self._least_height(scene)).all())

    def hidden_share(self, scene: Scene) -> float:
        """Share of the cube's top that has cloth above it, 0 ... 1."""
        height = scene.cloth.covered(self._outline(scene, 0.0))[1]
        return float((height > self._least_height(scene)).mean())

    def _least_height(self, scene: Scene) -> float:
        """Of cloth that hides the cube's top, m."""
        return float(self._middle(scene)[2]) + scene.object(CUBE).height / 2 - TOP_TOLERANCE


CUBE_COVERING = CubeCovering(
    name="cube_covering",
    role="target",
    scene=SceneSpec((), (ObjectSpec(CUBE, "cube", (0.30, 0.0), colour=(0.62, 0.06, 0.09)),), ClothSpec("cloth")),
    object="cloth",
    noun="cloth",
    goals={"forward": Goal("over the cube"), "backward": Goal("behind the cube")},
    instructions={
        "forward": (
            "cover the cube with the cloth",
            "cover the red cube with the cloth",
            "pull the cloth over the cube",
            "drag the cloth over the red cube",
        ),
        "backward": (
            "uncover the cube",
            "pull the cloth off the cube",
            "take the cloth off the red cube",
            "drag the cloth away from the cube",
        ),
    },
    skill="cloth",
)
