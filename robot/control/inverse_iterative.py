"""Inverse kinematics by iteration on the MJCF with mink: the check of the closed form, and the way for other arms.

Each iteration solves mink's differential inverse kinematics, a small QP whose constraints are the model's joint
limits (kevinzakka/mink). It takes milliseconds and finds the branch that it slides into, so the controller
uses `robot.control.kinematics.Kinematics`; both take the same arguments and mean the same poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robot.control.kinematics import JOINT_NAMES
from robot.control.pose import Pose
from trajectories.errors import KinematicsError
from trajectories.types import Float64

_STEP_S = 1.0  # a whole Gauss-Newton step per iteration
_DAMPING = 1e-10
_FREE = 6  # joints that any position and rotation need
_ROTATION_WEIGHT = 0.3  # m per rad: about the arm's length


class IterativeKinematics:
    """Forward and inverse kinematics of the arm in an MJCF file."""

    def __init__(
        self,
        mjcf: Path | str,
        *,
        joints: Sequence[str] = JOINT_NAMES,
        lower: Sequence[float] | None = None,
        upper: Sequence[float] | None = None,
        tip_site: str = "tip",
        tolerance: float = 1e-9,
        max_iterations: int = 100,
    ) -> None:
        """Load the model.

        Args:
            mjcf: Model of the arm.
            joints: Names of its N joints, base to wrist.
            lower: (N,) smallest joint angles, rad; None takes the model's.
            upper: (N,) largest joint angles, rad, likewise.
            tip_site: Site between the finger tips, x along the fingers.
            tolerance: Largest error of the result, m and rad.
            max_iterations: After which the pose counts as out of reach.

        Raises:
            KinematicsError: When the model lacks a joint or the site, or has fewer than six joints: which rotation
                those can't take is for a closed form to say (`robot.control.five_axis`).
        """
        import mink
        import mujoco

        self._model = mujoco.MjModel.from_xml_path(str(mjcf))
        try:
            found = [self._model.joint(name) for name in joints]
            self._model.site(tip_site)
        except KeyError as error:
            raise KinematicsError(f"{mjcf} is no model of this arm: {error.args[0]}") from error
        if len(found) < _FREE:
            raise KinematicsError(
                f"{mjcf} has {len(found)} joints; an iteration for any pose needs {_FREE}. Arms of five joints have "
                "robot.control.five_axis.FiveAxisKinematics."
            )
        if lower is not None and upper is not None:
            for joint, low, high in zip(found, lower, upper, strict=True):
                joint.range[:] = low, high
        self._qpos = np.array([joint.qposadr[0] for joint in found])
        dofs = {int(joint.dofadr[0]) for joint in found}
        self._tip = tip_site
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self._configuration: Any = mink.Configuration(self._model)
        self._task = mink.FrameTask(tip_site, "site", position_cost=1.0, orientation_cost=_ROTATION_WEIGHT)
        self._limits = [mink.ConfigurationLimit(self._model)]
        # The fingers stand still; their zero may lie outside their range, which the QP would not forgive.
        low, high = self._model.jnt_range.T
        limited = self._model.jnt_limited.astype(bool)
        self._rest = self._model.qpos0.copy()
        where = self._model.jnt_qposadr[limited]
        self._rest[where] = np.clip(self._rest[where], low[limited], high[limited])
        others = [dof for dof in range(self._model.nv) if dof not in dofs]
        self._frozen = [mink.DofFreezingTask(self._model, others)] if others else []

    def forward(self, joints: Sequence[float] | Float64) -> Pose:
        """Pose of the tip for joint angles (N,), rad."""
        self._configuration.update(self._full(joints))
        transform = self._configuration.get_transform_frame_to_world(self._tip, "site").as_matrix()
        return Pose.from_matrix(transform[:3, 3], transform[:3, :3])

    def attainable(self, pose: Pose) -> Pose:
        """The pose itself: six joints give the tip any rotation."""
        return pose

    def inverse(self, pose: Pose, near_joints: Sequence[float] | Float64) -> Float64:
        """Joint angles float64 (N,), rad, within the model's limits that reach `pose`, found from `near_joints`.

        Raises:
            KinematicsError: When the iteration does not arrive: out of reach, beyond a limit, or too far from
                `near_joints`.
        """
        import mink

        self._configuration.update(self._full(near_joints))
        self._task.set_target(mink.SE3.from_matrix(pose.matrix()))
        error = np.inf
        for _ in range(self._max_iterations):
            error = float(np.abs(self._task.compute_error(self._configuration)).max())
            if error < self._tolerance:
                return self._configuration.q[self._qpos].copy()
            try:
                velocity = mink.solve_ik(
                    self._configuration,
                    [self._task],
                    _STEP_S,
                    "daqp",
                    damping=_DAMPING,
                    limits=self._limits,
                    constraints=self._frozen,
                )
            except mink.NoSolutionFound:
                break
            self._configuration.integrate_inplace(velocity, _STEP_S)
        raise KinematicsError(
            f"No joint angles found for position {pose.position.tolist()} m, rpy {pose.rpy.tolist()} rad: the "
            f"iteration stopped {error:.2g} m or rad away. Start from joints nearer to it, or ask for a pose in reach."
        )

    def _full(self, joints: Sequence[float] | Float64) -> Float64:
        """The model's coordinates with the arm at `joints`."""
        values = np.asarray(joints, dtype=np.float64).ravel()
        if values.shape != self._qpos.shape or not np.isfinite(values).all():
            raise KinematicsError(f"Expected {len(self._qpos)} finite joint angles in rad, got {joints!r}.")
        q = self._rest.copy()
        q[self._qpos] = values
        return q
