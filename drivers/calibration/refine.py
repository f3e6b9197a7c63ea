"""Refine camera, board, joint offsets and intrinsics together, to predict the detected corners best.

Least squares on the reprojection error, over all views (bundle adjustment with the arm's kinematics in place of free
poses). Two of the six joint offsets can't be seen: a turn of the waist's zero is a turn of the camera about the base's
axis, and a turn of the last joint's zero is a turn of the board in the gripper. They stay 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from drivers.calibration.board import Board
from drivers.calibration.projection import project
from drivers.calibration.transforms import inverse, moved
from drivers.calibration.views import View, arm_transform
from robot.control.calibration import Intrinsics, Mount
from robot.interfaces import ArmKinematics
from trajectories.types import Float64


def observable(joints: int) -> tuple[int, ...]:
    """Indices of the joints, of so many, whose offsets show from outside: all but the first and the last."""
    return tuple(range(1, joints - 1))


"""Shoulder, elbow, forearm roll, wrist angle."""
_OUTLIER_PX = 2.0
_NUMBERS_A_VIEW = 6
_PIXELS = 100.0  # so that all unknowns are of similar size


@dataclass(frozen=True)
class Estimate:
    """What is asked for.

    Attributes:
        camera: float64 (4, 4) from the camera's frame to that of what carries it.
        board: float64 (4, 4) from the board's frame to that of what carries it.
        offsets: float64 (N,) rad: true angle = reported angle + offset.
        intrinsics: Of the camera.
    """

    camera: Float64
    board: Float64
    offsets: Float64
    intrinsics: Intrinsics


@dataclass(frozen=True)
class Refined:
    """The best estimate and how well it is known.

    Attributes:
        estimate: The best one.
        errors: float64 (N,) pixels: distance between every corner seen and predicted.
        error_mm: Their root mean square at the board's distance, mm.
        camera_deviations: (6,) standard deviations: rotation about the camera's axes, rad; position, m.
        offset_deviations: (N,) rad; NaN for offsets that were not estimated.
    """

    estimate: Estimate
    errors: Float64
    error_mm: float
    camera_deviations: Float64
    offset_deviations: Float64

    @property
    def error_px(self) -> float:
        """Root mean square of `errors`."""
        return float(np.sqrt(np.mean(self.errors**2)))


class _Problem:
    """The prediction as a function of one vector of changes to a first estimate."""

    def __init__(
        self,
        views: Sequence[View],
        board: Board,
        kinematics: ArmKinematics,
        mount: Mount,
        first: Estimate,
        joints: bool,
        intrinsics: bool,
    ) -> None:
        self._views, self._kinematics, self._mount, self._first = views, kinematics, mount, first
        self._seen_joints = observable(len(first.offsets))
        corners = board.corners()
        self._view_of = np.repeat(np.arange(len(views)), [len(view.seen.corners) for view in views])
        seen = np.concatenate([corners[view.seen.corners] for view in views])
        self._points = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
        self.seen = np.concatenate([view.seen.pixels for view in views])
        self.joints = slice(12, 12 + len(self._seen_joints) * joints)
        self._lens = slice(self.joints.stop, self.joints.stop + 5 * intrinsics)
        self.size = self._lens.stop
        self._arms_for: tuple[bytes, Float64] = (b"", np.empty((0, 4, 4)))

    def estimate(self, change: Float64) -> Estimate:
        """The first estimate, changed."""
        first, offsets = self._first, self._first.offsets.copy()
        if self.joints.stop > self.joints.start:
            offsets[list(self._seen_joints)] += change[self.joints]
        lens = first.intrinsics
        if self._lens.stop > self._lens.start:
            scale, right, down, k1, k2 = change[self._lens].tolist()
            known = lens.distortion
            lens = Intrinsics(
                (lens.focal[0] * (1.0 + scale), lens.focal[1] * (1.0 + scale)),
                (lens.centre[0] + _PIXELS * right, lens.centre[1] + _PIXELS * down),
                (known[0] + k1, known[1] + k2, *known[2:]),
            )
        return Estimate(moved(first.camera, change[:6]), moved(first.board, change[6:12]), offsets, lens)

    def points(self, estimate: Estimate) -> Float64:
        """float64 (N, 3) m: every corner in the camera's frame."""
        whole = inverse(estimate.camera) @ self._arms(estimate.offsets) @ estimate.board
        return np.einsum("nij,nj->ni", whole[self._view_of, :3], self._points)

    def _arms(self, offsets: Float64) -> Float64:
        """float64 (views, 4, 4), see `arm_transform`; kept until the offsets change: most unknowns leave them alone."""
        key = offsets.tobytes()
        if self._arms_for[0] != key:
            arms = [arm_transform(self._kinematics, view.joints + offsets, self._mount) for view in self._views]
            self._arms_for = key, np.array(arms)
        return self._arms_for[1]

    def residuals(self, change: Float64) -> Float64:
        """(2 N,) pixels."""
        estimate = self.estimate(change)
        return (project(self.points(estimate), estimate.intrinsics) - self.seen).ravel()


def refine(
    views: Sequence[View],
    board: Board,
    kinematics: ArmKinematics,
    mount: Mount,
    first: Estimate,
    *,
    joints: bool,
    intrinsics: bool,
    tolerance: float = 1e-8,
) -> Refined:
    """Improve an estimate.

    Standard deviations count a view as six independent numbers, not as two for every corner: what is wrong in one view
    (backlash, sag, a rounded joint angle) is wrong for all of its corners.

    Args:
        views: All of them.
        board: What was seen.
        kinematics: Of the arm.
        mount: What the camera is fixed to.
        first: Where to start, near enough.
        joints: Whether to estimate the offsets that are `observable`.
        intrinsics: Whether to estimate focal length (square pixels), centre, k1 and k2.
        tolerance: Relative improvement of the squared errors that isn't worth another step.
    """
    problem = _Problem(views, board, kinematics, mount, first, joints, intrinsics)
    found = least_squares(
        problem.residuals,
        np.zeros(problem.size),
        jac="3-point",
        loss="soft_l1",
        f_scale=_OUTLIER_PX,
        x_scale="jac",
        tr_solver="lsmr",
        ftol=tolerance,
    )
    estimate = problem.estimate(found.x)
    points = problem.points(estimate)
    errors = np.linalg.norm(project(points, estimate.intrinsics) - problem.seen, axis=1)
    free = max(_NUMBERS_A_VIEW * len(views) - problem.size, 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac, hermitian=True) * float(np.sum(errors**2)) / free
    deviations = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    known = np.full(len(first.offsets), np.nan)
    if joints:
        known[list(observable(len(known)))] = deviations[problem.joints]
    return Refined(
        estimate=estimate,
        errors=errors,
        error_mm=1e3 * float(np.sqrt(np.mean((errors * points[:, 2] / estimate.intrinsics.focal[0]) ** 2))),
        camera_deviations=deviations[:6],
        offset_deviations=known,
    )
