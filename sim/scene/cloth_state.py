"""Where the cloth of a compiled scene is, and putting it elsewhere."""

from __future__ import annotations

from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from sim.physics import Physics
from sim.scene.cloth import COLUMNS, ROWS, TAG, TAG_CENTRE, flat_nodes, node_names, triangles
from sim.scene.spec import ClothSpec
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S
from trajectories.types import Bool, Float64, Int64

_CELL = 0.004
"""Of the grid on which areas are measured, m."""


class Cloth:
    """The cloth of a scene; all places in m in the base frame.

    Attributes:
        spec: What it is.
        area: Of the cloth lying flat, m2.
    """

    def __init__(self, physics: Physics, spec: ClothSpec) -> None:
        self.spec = spec
        self.area = spec.size[0] * spec.size[1]
        self._physics = physics
        self._bodies: Int64 = np.array([physics.body_id(name) for name in node_names(spec)])
        joints = physics.model.body_jntadr[self._bodies]
        self._qpos = physics.model.jnt_qposadr[joints][:, None] + np.arange(3)
        self._qvel = physics.model.jnt_dofadr[joints][:, None] + np.arange(3)
        self._rest: Float64 = physics.model.body_pos[self._bodies].copy()
        self._shadow = (-1, 0.0)
        self._flex = mujoco.mj_name2id(physics.model, mujoco.mjtObj.mjOBJ_FLEX, spec.name)

    # -- asking it ----------------------------------------------------------------------------------
    def nodes(self, ahead_ns: int = 0) -> Float64:
        """float64 (ROWS, COLUMNS, 3): where its nodes are, or will be if the servos keep their present goals.

        Args:
            ahead_ns: How far ahead, ns of simulated time.
        """
        data = self._physics.ahead(ahead_ns) if ahead_ns else self._physics.data
        return (self._rest + data.qpos[self._qpos]).reshape(ROWS, COLUMNS, 3)

    def tag(self) -> Float64:
        """float64 (3,): the middle of its tag."""
        return self.nodes().reshape(-1, 3)[TAG] + [0.0, 0.0, TAG_CENTRE]

    def speed(self) -> float:
        """m/s along an axis, of its fastest node."""
        return float(np.abs(self._physics.data.qvel[self._qvel]).max())

    def stretch(self) -> float:
        """Longest edge of its net relative to that edge's own length; 1 at rest."""
        places = self.nodes().reshape(-1, 3)
        start, end = self._edges
        lengths = np.linalg.norm(places[start] - places[end], axis=1)
        return float((lengths / self._lengths).max())

    def touched_by(self, *bodies: str) -> bool:
        """Whether it or its tag touches a geom of any of these bodies in the last physics step."""
        if any(self._physics.in_contact(self.spec.name, body) for body in bodies):
            return True
        contact = self._physics.data.contact
        if not len(contact.geom):
            return False
        mine = (contact.flex == self._flex).any(axis=1)
        geoms = np.where(mine, contact.geom.max(axis=1), -1)
        return any(bool(self._physics.geoms_of(body)[geoms[geoms >= 0]].any()) for body in bodies)

    def covered(self, points: ArrayLike, ahead_ns: int = 0) -> tuple[Bool, Float64]:
        """What lies below it, seen from above.

        Args:
            points: (N, 2).
            ahead_ns: How far ahead, as of `nodes`.

        Returns:
            bool (N,) whether the cloth is above each point, and float64 (N,) the height of its highest layer there,
            -inf where there is none.
        """
        wanted = np.asarray(points, float)
        corners = self.nodes(ahead_ns).reshape(-1, 3)[np.array(triangles())]
        a, b, c = (corners[:, k, None, :2] for k in range(3))
        point = wanted[None]
        whole = _cross(b - a, c - a)
        whole = np.where(np.abs(whole) < 1e-12, np.nan, whole)
        u, v = _cross(point - a, c - a) / whole, _cross(b - a, point - a) / whole
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
        z = corners[:, :, 2]
        height = z[:, :1] + u * (z[:, 1:2] - z[:, :1]) + v * (z[:, 2:3] - z[:, :1])
        highest = np.where(inside, height, -np.inf).max(axis=0)
        return np.isfinite(highest), highest

    def shadow(self) -> float:
        """The area that it covers seen from above, m2, each place once."""
        if self._shadow[0] != self._physics.revision:
            places = self.nodes().reshape(-1, 3)[:, :2]
            low, high = places.min(axis=0), places.max(axis=0)
            x, y = (np.arange(low[k] + _CELL / 2, high[k], _CELL) for k in range(2))
            grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
            self._shadow = self._physics.revision, float(self.covered(grid)[0].sum()) * _CELL**2
        return self._shadow[1]

    # -- changing it --------------------------------------------------------------------------------
    def put(self, nodes: ArrayLike) -> None:
        """Put its nodes somewhere, at rest.

        Args:
            nodes: (ROWS, COLUMNS, 3).

        Raises:
            ConfigError: When they are not finite, below the table or of another shape.
        """
        places = np.asarray(nodes, float)
        if places.shape != (ROWS, COLUMNS, 3) or not np.isfinite(places).all() or places[..., 2].min() < 0:
            raise ConfigError(
                f"The nodes of {self.spec.name!r} must be ({ROWS}, {COLUMNS}, 3) finite places above the table."
            )
        self._physics.data.qpos[self._qpos] = places.reshape(-1, 3) - self._rest
        self._physics.data.qvel[self._qvel] = 0.0
        self._physics.changed()

    def lay(self, xy: ArrayLike, yaw: float) -> Float64:
        """Nodes (ROWS, COLUMNS, 3) of the cloth lying flat, its middle at `xy`, turned by `yaw` (rad); see `put`."""
        places = flat_nodes(self.spec)
        cos, sin = np.cos(yaw), np.sin(yaw)
        turned = places[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(xy, float)
        return np.column_stack([turned, places[:, 2]]).reshape(ROWS, COLUMNS, 3)

    def settle(self, seconds: float) -> None:
        """Let it come to rest: as if time had passed for it alone; the world's clock and all else stay.

        Raises:
            SafetyError: The physics becomes unstable meanwhile; it stays where it was until the scene is reset.
        """
        ahead_ns = round(seconds * NS_PER_S)
        later = self._physics.ahead(ahead_ns)
        self._physics.require_stable(later, self._physics.now_ns + ahead_ns)
        self.put((self._rest + later.qpos[self._qpos]).reshape(ROWS, COLUMNS, 3).clip(min=(-np.inf, -np.inf, 0.0)))

    @cached_property
    def _edges(self) -> tuple[Int64, Int64]:
        pairs = {tuple(sorted(pair)) for a, b, c in triangles() for pair in ((a, b), (b, c), (a, c))}
        ends = np.array(sorted(pairs))
        return ends[:, 0], ends[:, 1]

    @cached_property
    def _lengths(self) -> Float64:
        flat = flat_nodes(self.spec)
        return np.linalg.norm(flat[self._edges[0]] - flat[self._edges[1]], axis=1)


def _cross(a: Float64, b: Float64) -> Float64:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
