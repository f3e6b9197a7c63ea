"""Turn a measurement into entries of the calibration file, and into lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivers.calibration.refine import Refined, observable
from drivers.calibration.transforms import distance
from robot.control.calibration import Calibration, CameraCalibration, Mount
from trajectories.types import Float64

_DOUBTFUL_MM = 1.0


def camera_entry(found: Refined, size: tuple[int, int], mount: Mount, views: int) -> CameraCalibration:
    """The camera as the file keeps it.

    Args:
        found: The result.
        size: (height, width) of the pictures.
        mount: What the camera is fixed to.
        views: How many there were.
    """
    return CameraCalibration(
        size=size,
        intrinsics=found.estimate.intrinsics,
        mount=mount,
        pose=tuple(tuple(row) for row in found.estimate.camera.tolist()),
        error_px=found.error_px,
        error_mm=found.error_mm,
        views=views,
    )


def renewed(
    previous: Calibration,
    date: str,
    name: str,
    camera: CameraCalibration,
    corrections: Sequence[float] | None = None,
    deviations: Float64 | None = None,
) -> Calibration:
    """The calibration before, with what was measured now.

    With new joint offsets the other cameras are left out: their poses rest on the old ones.

    Args:
        previous: The newest so far, or `Calibration.unmeasured`.
        date: Now.
        name: Of the camera.
        camera: Its entry.
        corrections: (N,) rad to be added to the joint offsets; None: they were not measured.
        deviations: (N,) rad, NaN where not measured.
    """
    if corrections is None or deviations is None:
        cameras = {**previous.cameras, name: camera}
        return replace(previous, date=date, cameras=cameras)
    offsets = tuple(float(old + new) for old, new in zip(previous.joint_offsets, corrections, strict=True))
    known = tuple(None if np.isnan(value) else float(value) for value in deviations)
    return Calibration(previous.arm, date, offsets, known, {name: camera})


def describe(name: str, found: Refined, mount: Mount, views: int, joints: Sequence[str] = ()) -> str:
    """Say in words what was found; `joints` are the names of all joints where their offsets were measured."""
    estimate, sure = found.estimate, found.camera_deviations
    place = ", ".join(f"{x:+.4f}" for x in estimate.camera[:3, 3])
    ahead = ", ".join(f"{x:+.3f}" for x in estimate.camera[:3, 2])
    frame = "base" if mount == "base" else "gripper's tip"
    lines = [
        f"camera {name}, from {views} views: corners are {found.error_px:.2f} pixels ({found.error_mm:.2f} mm) from "
        "where they should be (root mean square)",
        f"  place in the frame of the {frame}: ({place}) m, within {1e3 * sure[3:].max():.1f} mm (standard deviation)",
        f"  looks along ({ahead}), within {np.degrees(sure[:3].max()):.2f} degrees",
        f"  focal length {estimate.intrinsics.focal[0]:.1f} pixels, centre ({estimate.intrinsics.centre[0]:.1f}, "
        f"{estimate.intrinsics.centre[1]:.1f})",
    ]
    if joints:
        lines.append("joints, true angle - reported angle:")
        for i, joint in enumerate(joints):
            value = (
                f"{estimate.offsets[i]:+.4f} rad, within {found.offset_deviations[i]:.4f}"
                if i in observable(len(joints))
                else "can't be seen from outside; 0 by definition"
            )
            lines.append(f"  {joint:13} {value}")
    elif found.error_mm > _DOUBTFUL_MM:
        lines.append(
            f"More than {_DOUBTFUL_MM:g} mm: joint offsets can hide behind a camera pose that is wrong by ten times as "
            "much. Measure the joints, too (calibrate.what=joints), and see whether it shrinks."
        )
    return "\n".join(lines)


def describe_truth(found: Refined, camera: Float64, offsets: Float64, focal: float) -> str:
    """The result beside the truth, where that is known (the twin)."""
    metres, turn = distance(found.estimate.camera, camera)
    worst = float(np.abs(found.estimate.offsets - offsets)[list(observable(len(offsets)))].max())
    return (
        f"truth: the camera is {1e3 * metres:.2f} mm and {np.degrees(turn):.3f} degrees away from the estimate, the "
        f"worst joint offset {worst:.4f} rad, the focal length {found.estimate.intrinsics.focal[0] - focal:+.2f} pixels"
    )
