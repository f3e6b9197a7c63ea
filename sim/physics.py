"""The simulated world: one MuJoCo model and its state, advanced to points in time."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from robot.arms.model import ArmModel
from robot.arms.wx250s import WX250S
from trajectories.errors import ConfigError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Bool, Float64

TIP_SITE = "tip"
_UNSTABLE = tuple(getattr(mujoco.mjtWarning, f"mjWARN_BADQ{what}") for what in ("POS", "VEL", "ACC"))
"""What MuJoCo warns of before it resets a state that has become impossible."""


class Physics:
    """A model, its state and a clock that never runs backwards.

    The clock counts whole physics steps in nanoseconds; moving bodies by hand or resetting the state leaves
    it alone. Positions are those of `now_ns`, contacts those of the last step; after edits both are
    computed anew when asked for.

    Attributes:
        model: The compiled model. Whoever edits it must call `changed`.
        data: Its state. The arm's N joints come first, then its two fingers; the gripper is actuator N.
        arm: The arm in it.
    """

    def __init__(
        self, model: mujoco.MjModel, arm: ArmModel = WX250S, data: mujoco.MjData | None = None, tip: str = TIP_SITE
    ) -> None:
        """Put the arm into its ready pose.

        Args:
            model: The compiled model.
            arm: The arm in it.
            data: State that somebody else made and looks at, too; None makes one.
            tip: Name of the site between the finger tips.
        """
        self.model = model
        self.arm = arm
        self.data = mujoco.MjData(model) if data is None else data
        self._step_ns = round(model.opt.timestep * NS_PER_S)
        self._now_ns = 0
        self._revision = 0
        self._kinematics_stale = True
        self._contacts_stale = True
        self._foreseen: mujoco.MjData | None = None
        self._unstable = ""
        self._geoms: dict[str, Bool] = {}
        self._bodies: dict[str, int] = {model.body(i).name: i for i in range(model.nbody)}
        self._tip = model.site(tip).id
        self.set_arm(self.arm.ready, self.arm.opening)

    # -- time ---------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        """Simulated monotonic ns."""
        return self._now_ns

    @property
    def revision(self) -> int:
        """Grows whenever the world looks different, by time or by hand; caches compare it."""
        return self._revision

    def step_until(self, t_ns: int) -> None:
        """Advance to the first physics step at or after `t_ns`; does nothing when that is past.

        Raises:
            SafetyError: When the simulation has become unstable, from then on until `reset`.
        """
        if self._unstable:
            raise SafetyError(self._unstable)
        steps = -((self._now_ns - t_ns) // self._step_ns)
        if steps <= 0:
            return
        mujoco.mj_step(self.model, self.data, nstep=steps)
        self._now_ns += steps * self._step_ns
        self._revision += 1
        self._kinematics_stale = True
        self.require_stable(self.data, self._now_ns)

    def changed(self) -> None:
        """Note that the model or the state was edited by hand."""
        self._revision += 1
        self._kinematics_stale = True
        self._contacts_stale = True

    def refresh(self) -> None:
        """Bring positions (and, after edits, contacts) up to date with the joint positions."""
        if self._contacts_stale:
            mujoco.mj_forward(self.model, self.data)
        elif self._kinematics_stale:
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_camlight(self.model, self.data)
            if self.model.nflex:
                mujoco.mj_flex(self.model, self.data)
        self._kinematics_stale = self._contacts_stale = False

    # -- questions ----------------------------------------------------------------------------------
    def body_pose(self, name: str) -> tuple[Float64, Float64]:
        """Position (3,) in m and unit quaternion (4,) w first, of a body in the base frame."""
        self.refresh()
        index = self.body_id(name)
        return self.data.xpos[index].copy(), self.data.xquat[index].copy()

    def body_velocity(self, name: str) -> Float64:
        """float64 (6,) linear (m/s) then angular (rad/s) velocity of a free body.

        Raises:
            ConfigError: When the body has no free joint.
        """
        _, velocity = self._free_addresses(name)
        return self.data.qvel[velocity : velocity + 6].copy()

    def foresee(self, names: Sequence[str], ahead_ns: int) -> list[tuple[Float64, Float64]]:
        """Where bodies will be if the servos keep their present goals; the world itself stays as it is.

        Args:
            names: The bodies.
            ahead_ns: How far ahead, ns of simulated time, rounded up to whole physics steps.

        Returns:
            Of each, position (3,) in m and unit quaternion (4,) w first, in the base frame.
        """
        foreseen = self.ahead(ahead_ns)
        mujoco.mj_kinematics(self.model, foreseen)
        indices = [self.body_id(name) for name in names]
        return [(foreseen.xpos[index].copy(), foreseen.xquat[index].copy()) for index in indices]

    def ahead(self, ahead_ns: int) -> mujoco.MjData:
        """The state that will be if the servos keep their present goals; the world itself stays as it is.

        Args:
            ahead_ns: How far ahead, ns of simulated time, rounded up to whole physics steps.

        Returns:
            Joint positions and velocities of then; valid until the next call of this or of `foresee`. If the physics
            becomes unstable meanwhile, MuJoCo has reset them: whoever makes them the world's asks `require_stable`.
        """
        if self._foreseen is None:
            self._foreseen = mujoco.MjData(self.model)
        mujoco.mj_copyData(self._foreseen, self.model, self.data)
        mujoco.mj_step(self.model, self._foreseen, nstep=-(-ahead_ns // self._step_ns))
        return self._foreseen

    def gripper_width(self) -> float:
        """Gap between the fingers, m; a little below 0 where they press on each other."""
        n = self.arm.size
        return float(self.data.qpos[n] - self.data.qpos[n + 1]) - 2 * self.arm.finger_closed

    def gripper_goal(self) -> float:
        """Gap that the gripper is told to have, m."""
        return float(self.data.ctrl[self.arm.size])

    def tip_position(self) -> Float64:
        """float64 (3,) gripper tip in the base frame, m."""
        self.refresh()
        return self.data.site_xpos[self._tip].copy()

    def tip_rotation(self) -> Float64:
        """float64 (3, 3) axes of the tip in the base frame as columns; x points out of the gripper."""
        self.refresh()
        return self.data.site_xmat[self._tip].reshape(3, 3).copy()

    def in_contact(self, first: str, second: str) -> bool:
        """Whether any geom of `first` touches any geom of `second`.

        Args:
            first: Name of a geom, or of a body, which stands for all of its geoms and those of its children.
            second: Likewise.

        Raises:
            ConfigError: When there is no such geom or body.
        """
        a, b = self.geoms_of(first), self.geoms_of(second)
        if self._contacts_stale:
            self.refresh()
        pairs = self.data.contact.geom
        if not len(pairs):
            return False
        left, right = pairs[:, 0], pairs[:, 1]
        return bool(((a[left] & b[right]) | (b[left] & a[right])).any())

    def geoms_of(self, name: str) -> Bool:
        """Bool (geoms,) which geoms are meant by a name, as of `in_contact`; not to be changed."""
        mask = self._geoms.get(name)
        if mask is None:
            mask = self._geoms[name] = self._find_geoms(name)
        return mask

    def body_id(self, name: str) -> int:
        """Index of a body.

        Raises:
            ConfigError: When there is none of that name.
        """
        try:
            return self._bodies[name]
        except KeyError:
            raise ConfigError(f"There is no body {name!r} in the scene; there are {sorted(self._bodies)}.") from None

    # -- changes ------------------------------------------------------------------------------------
    def set_free_body(self, name: str, position: ArrayLike, quaternion: ArrayLike = (1.0, 0.0, 0.0, 0.0)) -> None:
        """Put a free body somewhere, at rest.

        Args:
            name: Body with a free joint.
            position: (3,) m, of the body's origin in the base frame.
            quaternion: (4,) w first; normalised here.

        Raises:
            ConfigError: When the body has no free joint or a number is not finite.
        """
        qpos, qvel = self._free_addresses(name)
        pose = np.concatenate([np.asarray(position, float), np.asarray(quaternion, float)])
        length = float(np.linalg.norm(pose[3:]))
        if pose.shape != (7,) or not np.isfinite(pose).all() or length < 1e-9:
            raise ConfigError(f"Pose of {name!r} must be 3 + 4 finite numbers with a non-zero quaternion; got {pose}.")
        pose[3:] /= length
        self.data.qpos[qpos : qpos + 7] = pose
        self.data.qvel[qvel : qvel + 6] = 0.0
        self.changed()

    def set_arm(self, joints: ArrayLike, gripper_width: float) -> None:
        """Put the arm somewhere at once, at rest, with its servos commanded to stay.

        Args:
            joints: (N,) rad.
            gripper_width: Gap between the fingers, m.
        """
        finger, n = self.arm.finger_closed + 0.5 * gripper_width, self.arm.size
        self.data.qpos[:n] = joints
        self.data.qpos[n : n + 2] = finger, -finger
        self.data.qvel[: n + 2] = 0.0
        self.data.ctrl[:n] = joints
        self.data.ctrl[n] = gripper_width
        self.changed()

    def set_fingers(self, gripper_width: float) -> None:
        """Put the fingers somewhere at once, at rest, with their servo commanded to close; the arm stays.

        Args:
            gripper_width: Gap between them, m.
        """
        finger, n = self.arm.finger_closed + 0.5 * gripper_width, self.arm.size
        self.data.qpos[n : n + 2] = finger, -finger
        self.data.qvel[n : n + 2] = 0.0
        self.data.ctrl[n] = 0.0
        self.changed()

    def copy_positions(self, other: Physics) -> None:
        """Bring everything where it is in `other`, which has the same model, so that it can be looked at in peace."""
        self.data.qpos[:] = other.data.qpos
        self._revision += 1
        self._kinematics_stale = True

    def reset(self) -> None:
        """Forget velocities and warm starts; bodies go where compiled, the arm to neutral. Time goes on."""
        mujoco.mj_resetData(self.model, self.data)
        self._unstable = ""
        self.set_arm(self.arm.ready, self.arm.opening)

    def require_stable(self, data: mujoco.MjData, at_ns: int) -> None:
        """Latch what MuJoCo would only warn of: it resets an impossible state by itself and goes on.

        Args:
            data: The world's state, or one of `ahead` that shall become it.
            at_ns: Simulated monotonic ns of that state.

        Raises:
            SafetyError: It is none that can be trusted; from then on until `reset`.
        """
        warnings = [data.warning[kind] for kind in _UNSTABLE]
        if any(warning.number for warning in warnings):
            where = next(warning.lastinfo for warning in warnings if warning.number)
            self._unstable = (
                f"The twin's physics became unstable before {at_ns / NS_PER_S:.3f} s (degree of freedom {where})"
                " and MuJoCo reset its state: nothing since then can be trusted. Reset the scene."
            )
            raise SafetyError(self._unstable)

    # -- names --------------------------------------------------------------------------------------
    def _free_addresses(self, name: str) -> tuple[int, int]:
        joint = int(self.model.body_jntadr[self.body_id(name)])
        if joint < 0 or self.model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            raise ConfigError(f"Body {name!r} has no free joint, so that it can't be placed by hand.")
        return int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])

    def _find_geoms(self, name: str) -> NDArray[np.bool_]:
        mask = np.zeros(self.model.ngeom, dtype=bool)
        geom = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_GEOM, name)
        if geom >= 0:
            mask[geom] = True
            return mask
        inside = {self.body_id(name)}
        for body in range(min(inside) + 1, self.model.nbody):
            if int(self.model.body_parentid[body]) in inside:
                inside.add(body)
        return np.isin(self.model.geom_bodyid, list(inside))


def rotation(quaternion: Float64) -> Float64:
    """Rotation matrix (3, 3) of a unit quaternion (4,), w first."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
