"""Whether the arm would touch itself or the table, on the model that the twin uses, too.

Every primitive of the model counts, the gripper's with the fingers apart (as wide as they get). Links that share a
joint are left out, and so are the fingers with each other, the base with the table that it stands on, and the fingers
with the table: they reach down to things on it, and the box of `SafetyLimits` keeps their tips above it. All other
pairs are at least 1.7 mm apart in the folded pose and 2 cm in the neutral one and at home: none needs an exception, and
an arm that wakes up folded, nearer to itself than the margin, may unfold.

Between two poses of the joints no point of the arm moves further than the sum of the joints' motions times the longest
lever behind each. A stretch of the way is free when that is no longer than the clearances at both of its ends
together; otherwise its middle is looked at. So nothing is skipped, and a motion far from everything costs one look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from robot.control.kinematics import JOINT_NAMES
from trajectories.errors import ConfigError
from trajectories.numbers import between
from trajectories.types import Float64

ARM_XML = Path(__file__).parents[1] / "arms" / "assets" / "wx250s.xml"
"""The one model of the WidowX 250 S, for collisions here and for the twin's physics."""
TABLE = "table"
HORIZON_M = 0.02
"""Distances are measured up to here."""
_FINGERS = ("left_finger", "right_finger")
_NUDGES_M = ((2e-8, 1e-8, -1e-8), (-1e-8, 2e-8, 1e-8), (1e-8, -2e-8, 2e-8))
_WORSE_M = 1e-6  # below this a distance has not changed


@dataclass(frozen=True)
class Clearance:
    """The smallest distance.

    Attributes:
        distance: m, negative inside each other, at most `HORIZON_M`.
        pair: "link and link" or "link and table"; empty beyond the horizon.
    """

    distance: float
    pair: str


class Collision:
    """Distances of the arm from itself and the table.

    Args:
        margin: m that everything has to stay apart.
        mjcf: Model of the arm, made of primitives.
        joints: Names of its N joints, base to wrist.

    Raises:
        ConfigError: When the margin is out of range or the model is another arm's.
    """

    def __init__(self, margin: float = 0.005, mjcf: Path | str = ARM_XML, joints: Sequence[str] = JOINT_NAMES) -> None:
        between("collision_margin", margin, 0.001, HORIZON_M / 2)
        self.margin = margin
        self._model = _load(mjcf, joints)
        self._data = mujoco.MjData(self._model)
        model = self._model
        self._qpos = np.array([model.joint(name).qposadr[0] for name in joints])
        for name in _FINGERS:
            low, high = model.joint(name).range
            self._data.qpos[model.joint(name).qposadr[0]] = low if abs(low) > abs(high) else high
        self._links = [model.body(body).name.removesuffix("_link").replace("_", " ") for body in model.geom_bodyid]
        self._links[model.geom(TABLE).id] = TABLE
        self._levers = _levers(model, joints)
        self._last: tuple[bytes, dict[str, float]] = (b"", {})

    def clearance(self, joints: Sequence[float] | Float64) -> Clearance:
        """The pair that is nearest to each other with the joints at (N,) rad."""
        near = self.distances(joints)
        if not near:
            return Clearance(HORIZON_M, "")
        pair = min(near, key=near.__getitem__)
        return Clearance(near[pair], pair)

    def distances(self, joints: Sequence[float] | Float64) -> Mapping[str, float]:
        """Pairs that are nearer than `HORIZON_M`, with their distance in m, joints at (N,) rad."""
        joints = np.asarray(joints, dtype=np.float64)
        key = joints.tobytes()
        if key == self._last[0]:
            return self._last[1]
        model, data = self._model, self._data
        data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        found: dict[str, float] = {}
        for first, second in set(map(tuple, data.contact.geom.tolist())) if data.ncon else ():
            distance = self._distance(first, second)
            name = f"{self._links[max(first, second)]} and {self._links[min(first, second)]}"
            if distance < found.get(name, HORIZON_M):
                found[name] = distance
        self._last = key, found
        return found

    def obstacle(self, start: Sequence[float] | Float64, end: Sequence[float] | Float64) -> str | None:
        """What is in the way of a straight motion of the joints from `start` to `end`, (N,) rad, or None.

        A pair is in the way when it comes nearer than the margin, and nearer than it is at the start: an arm that is
        too near already may move away.
        """
        first, last = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
        travel = float(np.abs(last - first) @ self._levers)
        if travel == 0.0:
            return None
        here = self.distances(first)
        allowed = {pair: distance - _WORSE_M for pair, distance in here.items() if distance < self.margin}
        there = self.distances(last)
        return self._violated(there, allowed) or self._between(
            first, min(here.values(), default=HORIZON_M), last, min(there.values(), default=HORIZON_M), travel, allowed
        )

    def _between(
        self, start: Float64, here: float, end: Float64, there: float, travel: float, allowed: Mapping[str, float]
    ) -> str | None:
        """What is in the way between two poses that are free themselves; `here` and `there` are their clearances."""
        if travel <= max(here + there, 2.0 * self.margin):
            return None
        middle = 0.5 * (start + end)
        near = self.distances(middle)
        violated = self._violated(near, allowed)
        if violated:
            return violated
        clear = min(near.values(), default=HORIZON_M)
        return self._between(start, here, middle, clear, 0.5 * travel, allowed) or self._between(
            middle, clear, end, there, 0.5 * travel, allowed
        )

    def _violated(self, near: Mapping[str, float], allowed: Mapping[str, float]) -> str | None:
        for pair, distance in near.items():
            if distance < min(self.margin, allowed.get(pair, self.margin)):
                return pair
        return None

    def _distance(self, first: int, second: int) -> float:
        """Between the surfaces of two geoms, m, at most `HORIZON_M`; negative inside each other.

        MuJoCo's contacts of boxes that don't touch yet are only good for finding the pair. Its distance never exceeds
        the true one, but for some boxes whose edges are exactly parallel it is 0 though they are apart; a nudge far
        below a micrometre gets the true one.
        """
        model, data = self._model, self._data
        distance = mujoco.mj_geomDistance(model, data, first, second, HORIZON_M, None)
        if distance < self.margin:
            kept = data.geom_xpos[first].copy()
            for nudge in _NUDGES_M:
                data.geom_xpos[first] = kept + nudge
                distance = max(distance, mujoco.mj_geomDistance(model, data, first, second, HORIZON_M, None))
            data.geom_xpos[first] = kept
        return distance


def _load(mjcf: Path | str, joints: Sequence[str]) -> Any:
    """The compiled arm with a table at z = 0, in which what may meet collides and comes into contact at the horizon."""
    spec = mujoco.MjSpec.from_file(str(mjcf))
    spec.worldbody.add_geom(name=TABLE, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1, 1, 1))
    for geom in spec.geoms:
        geom.contype = geom.conaffinity = 1
        geom.margin = 0.5 * HORIZON_M  # MuJoCo adds those of both
    world, base = spec.worldbody, spec.worldbody.first_body()
    fingers = [spec.joint(name).parent for name in _FINGERS if spec.joint(name) is not None]
    apart = [(world, base), *pairwise(fingers), *((world, finger) for finger in fingers)]
    apart += [(base, link) for link in base.bodies]  # MuJoCo leaves out other neighbours by itself
    for one, other in apart:
        spec.add_exclude(bodyname1=one.name, bodyname2=other.name)
    model = spec.compile()
    missing = {*joints, *_FINGERS} - {model.joint(i).name for i in range(model.njnt)}
    if missing:
        raise ConfigError(f"{mjcf} is no model of this arm: it lacks the joints {sorted(missing)}.")
    return model


def _levers(model: Any, joints: Sequence[str]) -> Float64:
    """(N,) m: no point that a joint moves is ever further from its axis."""
    chain = [int(model.joint(name).bodyid[0]) for name in joints]
    steps = [float(np.linalg.norm(model.body_pos[after])) for _, after in pairwise(chain)]
    slide = max(float(np.abs(model.joint(name).range).max()) for name in _FINGERS)
    depth = np.zeros(model.nbody)  # farthest point of a link from its own joint
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        finger = body not in chain and body > chain[-1]
        shift = np.linalg.norm(model.body_pos[body]) + slide if finger else 0.0
        link = chain[-1] if finger else body
        far = float(np.linalg.norm(model.geom_pos[geom])) + float(model.geom_rbound[geom]) + float(shift)
        depth[link] = max(depth[link], far)
    return np.array([max(sum(steps[i:j]) + depth[chain[j]] for j in range(i, len(chain))) for i in range(len(chain))])
