"""robosuite's simulation behind `sim.physics.Physics`: the arm's own frame, names and objects as in the twin.

robosuite's world frame has its origin below the table. Here everything is in the frame of the arm's base, which stands
on the table, and an object's place is its bottom centre, as in the twin's scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from robot.arms.wx250s import WX250S
from sim.physics import Physics, rotation
from sim.robosuite.widowx import BASE_X, TABLE_Z
from trajectories.errors import ConfigError
from trajectories.types import Float64

ORIGIN = np.array([BASE_X, 0.0, TABLE_Z])
_ARM, _GRIPPER = "robot0_", "gripper0_right_"
_FINGERS = ("left_finger", "right_finger")


@dataclass(frozen=True)
class Body:
    """A body of robosuite's.

    Attributes:
        name: robosuite's name of it.
        bottom: m from its origin down to its bottom centre. A body that has one is a cube, which may lie on any face.
    """

    name: str
    bottom: float = 0.0


class RobosuitePhysics(Physics):
    """The simulation of one of robosuite's environments with our arm in it, driven by our servos.

    Args:
        sim: robosuite's simulation. Its motors become the servos of our MJCF; robosuite's controllers must not run.
        bodies: Our name of an object -> its body.
    """

    def __init__(self, sim: Any, bodies: Mapping[str, Body]) -> None:
        model, data = sim.model._model, sim.data._data
        drive_by_servos(model)
        fingers = {f"{finger}_link": Body(f"{_GRIPPER}{finger}_link") for finger in _FINGERS}
        self._alias = {**fingers, **bodies}
        super().__init__(model, WX250S, data, f"{_GRIPPER}grip_site")

    def body_id(self, name: str) -> int:
        """Index of a body, by our name of it or robosuite's.

        Raises:
            ConfigError: When there is none of that name.
        """
        return super().body_id(self._alias[name].name if name in self._alias else name)

    def body_pose(self, name: str) -> tuple[Float64, Float64]:
        """Bottom centre (3,) in m and unit quaternion (4,) w first, of a body in the arm's base frame.

        A cube stands on whichever face it lies on, see `upright`.
        """
        return self._standing(name, *super().body_pose(name))

    def foresee(self, names: Sequence[str], ahead_ns: int) -> list[tuple[Float64, Float64]]:
        """See `Physics.foresee`; in the arm's base frame."""
        poses = zip(names, super().foresee(names, ahead_ns), strict=True)
        return [self._standing(name, *pose) for name, pose in poses]

    def set_free_body(self, name: str, position: ArrayLike, quaternion: ArrayLike = (1.0, 0.0, 0.0, 0.0)) -> None:
        """Put a free body somewhere, at rest, by its bottom centre in the arm's base frame."""
        up = _rotated(np.asarray(quaternion, float), np.array([0.0, 0.0, self._depth(name)]))
        super().set_free_body(name, np.asarray(position, float) + ORIGIN + up, quaternion)

    def tip_position(self) -> Float64:
        """float64 (3,) gripper tip in the arm's base frame, m."""
        return super().tip_position() - ORIGIN

    def tip_rotation(self) -> Float64:
        """float64 (3, 3) axes of the tip; x points out of the gripper, where robosuite has z."""
        axes = super().tip_rotation()
        return axes[:, [2, 1, 0]] * np.array([1.0, -1.0, 1.0])

    def _depth(self, name: str) -> float:
        return self._alias[name].bottom if name in self._alias else 0.0

    def _standing(self, name: str, position: Float64, quaternion: Float64) -> tuple[Float64, Float64]:
        depth = self._depth(name)
        if depth > 0.0:
            quaternion = upright(quaternion)
        return position - ORIGIN - _rotated(quaternion, np.array([0.0, 0.0, depth])), quaternion


def upright(quaternion: Float64) -> Float64:
    """The orientation of a cube with its axes named anew: z points up most, x ahead most.

    All of its faces look alike, so nobody could see which of its 24 orientations it has: its yaw is within 45 degrees.

    Args:
        quaternion: (4,) unit quaternion, w first.

    Returns:
        (4,).
    """
    faces = rotation(quaternion).T
    axes = np.concatenate([faces, -faces])  # the six normals of its faces
    z = axes[np.argmax(axes[:, 2])]
    across = axes[np.abs(axes @ z) < 0.5]
    x = across[np.argmax(across[:, 0])]
    result = np.zeros(4)
    mujoco.mju_mat2Quat(result, np.stack([x, np.cross(z, x), z], axis=1).ravel())
    return result


def _rotated(quaternion: Float64, vector: Float64) -> Float64:
    result = np.zeros(3)
    mujoco.mju_rotVecQuat(result, vector, quaternion)
    return result


def drive_by_servos(model: mujoco.MjModel) -> None:
    """Turn robosuite's motors into the position servos of our MJCF, joints' damping and integrator with them.

    Raises:
        ConfigError: The model's first joints and actuators aren't the arm's.
    """
    ours = mujoco.MjModel.from_xml_path(str(WX250S.mjcf))
    names = [*(f"{_ARM}{joint}" for joint in WX250S.joints), *(f"{_GRIPPER}{finger}" for finger in _FINGERS)]
    found = [model.joint(i).name for i in range(len(names))]
    if found != names:
        raise ConfigError(f"The first joints of robosuite's model are {found}; expected {names}.")
    n = WX250S.size
    for name in ("damping", "armature", "frictionloss"):
        getattr(model, f"dof_{name}")[: n + 2] = getattr(ours, f"dof_{name}")[: n + 2]
    for name in (
        "gaintype",
        "biastype",
        "gainprm",
        "biasprm",
        "ctrlrange",
        "forcerange",
        "ctrllimited",
        "forcelimited",
    ):
        getattr(model, f"actuator_{name}")[: n + 1] = getattr(ours, f"actuator_{name}")[: n + 1]
    model.opt.integrator, model.opt.impratio = ours.opt.integrator, ours.opt.impratio
