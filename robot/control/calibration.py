"""What was measured about one arm and its cameras: a dated JSON file, whose digest checkpoints carry.

A file is never changed: a new measurement writes a new one, `<arm>-YYYY-MM-DDTHHMMSS.json` (UTC), and the newest
counts. What isn't measured anew is taken over from the one before.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from robot.arms.model import ArmModel
from trajectories.durable import replace_file
from trajectories.errors import RegraspError
from trajectories.types import Float64

KIND = "regrasp-calibration-1"
Mount = Literal["base", "gripper"]
MOUNTS: tuple[Mount, ...] = ("base", "gripper")
_STAMP = r"\d{4}-\d{2}-\d{2}T\d{6}"
_ROTATION_TOLERANCE = 1e-6


class CalibrationError(RegraspError):
    """A calibration file is damaged, or a measurement doesn't determine what was asked for."""


@dataclass(frozen=True)
class Intrinsics:
    """How a camera maps directions to pixels (OpenCV's model); the centre of the first pixel is (0, 0).

    Attributes:
        focal: (x, y) focal lengths, pixels.
        centre: (x, y) principal point, pixels.
        distortion: k1, k2, p1, p2, k3.
    """

    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what is no camera.

        Raises:
            CalibrationError: Naming it.
        """
        if len(self.focal) != 2 or len(self.centre) != 2 or len(self.distortion) != 5:
            raise CalibrationError(
                f"Intrinsics need 2 focal lengths, 2 numbers for the centre and 5 for the distortion, got {self}."
            )
        if not _finite((*self.focal, *self.centre, *self.distortion)) or min(self.focal) <= 0:
            raise CalibrationError(f"Intrinsics must be finite, with focal lengths above 0, got {self}.")

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Intrinsics:
        """From fx, fy, cx, cy, k1, k2, p1, p2, k3 (the distortion may be left out).

        Raises:
            CalibrationError: When there are not 4 or 9 numbers.
        """
        values = [float(x) for x in numbers]
        if len(values) not in (4, 9):
            raise CalibrationError(
                f"Intrinsics are fx, fy, cx, cy and, if known, k1, k2, p1, p2, k3; got {len(values)} numbers."
            )
        return cls((values[0], values[1]), (values[2], values[3]), tuple(values[4:] or (0.0,) * 5))


@dataclass(frozen=True)
class CameraCalibration:
    """One camera.

    Attributes:
        size: (height, width) of the image that the intrinsics belong to, pixels.
        intrinsics: Of that image.
        mount: What the camera is fixed to.
        pose: 4 rows of 4: from the camera's frame (x right, y down, z forward; m) to the base, or to the tip's frame (x
            along the fingers) for a camera on the gripper.
        error_px: Root mean square distance between corners seen and corners predicted, pixels.
        error_mm: The same at the board's distance, mm.
        views: How many poses it rests on.
    """

    size: tuple[int, int]
    intrinsics: Intrinsics
    mount: Mount
    pose: tuple[tuple[float, ...], ...]
    error_px: float
    error_mm: float
    views: int

    def __post_init__(self) -> None:
        """Refuse what is no camera pose.

        Raises:
            CalibrationError: Naming it.
        """
        if self.mount not in MOUNTS:
            raise CalibrationError(f"A camera's mount is one of {', '.join(MOUNTS)}, got {self.mount!r}.")
        if len(self.size) != 2 or min(self.size) < 1 or self.views < 1:
            raise CalibrationError(
                f"A camera needs a size above 0 and at least one view, got {self.size}, {self.views}."
            )
        if not (_finite((self.error_px, self.error_mm)) and min(self.error_px, self.error_mm) >= 0):
            raise CalibrationError(f"Residuals must be 0 or more, got {self.error_px} px and {self.error_mm} mm.")
        if len(self.pose) != 4 or any(len(row) != 4 or not _finite(row) for row in self.pose):
            raise CalibrationError(f"A camera's pose needs 4 rows of 4 finite numbers, got {self.pose}.")
        turn = self.matrix()[:3, :3]
        is_rotation = np.abs(turn @ turn.T - np.eye(3)).max() < _ROTATION_TOLERANCE and np.linalg.det(turn) > 0
        if not is_rotation or self.pose[3] != (0.0, 0.0, 0.0, 1.0):
            raise CalibrationError(f"A camera's pose must be a rotation and a position, got {self.pose}.")

    def matrix(self) -> Float64:
        """float64 (4, 4), see `pose`."""
        return np.array(self.pose, dtype=np.float64)


@dataclass(frozen=True)
class CalibrationMark:
    """What a checkpoint remembers of the calibration that it was trained with.

    Attributes:
        arm: Name of the arm.
        date: When it was measured, ISO 8601, UTC.
        digest: Hex sha256 of its content.
    """

    arm: str
    date: str
    digest: str

    def to_dict(self) -> dict[str, str]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, str]) -> CalibrationMark:
        """Inverse of `to_dict`."""
        return cls(str(raw["arm"]), str(raw["date"]), str(raw["digest"]))

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> CalibrationMark | None:
        """The mark in a file's header, under "calibration"; None without one."""
        raw = header.get("calibration")
        return None if raw is None else cls.from_dict(raw)


@dataclass(frozen=True)
class Calibration:
    """Joints and cameras of one arm.

    Attributes:
        arm: Name of the arm's model.
        date: When it was measured, ISO 8601, UTC, whole seconds.
        joint_offsets: (N,) rad, what the servos' homing offsets add to the angles as the horns are mounted.
        joint_deviations: (N,) rad, standard deviations of the offsets; None for joints that were not measured.
        cameras: Name -> camera.
    """

    arm: str
    date: str
    joint_offsets: tuple[float, ...] = (0.0,) * 6
    joint_deviations: tuple[float | None, ...] = (None,) * 6
    cameras: Mapping[str, CameraCalibration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            CalibrationError: Naming it.
        """
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.arm):
            raise CalibrationError(
                f"An arm's name has letters, digits and _ only, since files are named so: {self.arm!r}."
            )
        _time(self.date)
        if not self.joint_offsets or len(self.joint_offsets) != len(self.joint_deviations):
            raise CalibrationError(f"A calibration needs one offset and one deviation a joint, got {self}.")
        deviations = [d for d in self.joint_deviations if d is not None]
        if not _finite((*self.joint_offsets, *deviations)) or any(d < 0 for d in deviations):
            raise CalibrationError(
                f"Joint offsets must be finite and deviations 0 or more, got {self.joint_offsets} and "
                f"{self.joint_deviations}."
            )

    @classmethod
    def unmeasured(cls, arm: str, joints: int, date: str) -> Calibration:
        """A calibration of an arm with so many joints in which nothing is measured yet."""
        return cls(arm, date, (0.0,) * joints, (None,) * joints)

    def require_fits(self, model: ArmModel) -> None:
        """Refuse the calibration of an arm with another number of joints.

        Raises:
            CalibrationError: Saying both.
        """
        if len(self.joint_offsets) != model.size:
            raise CalibrationError(
                f"The calibration {self.file_name} has offsets for {len(self.joint_offsets)} joints, the {model.name} "
                f"has {model.size}. Delete or move the file, and run `regrasp calibrate` again."
            )

    @property
    def digest(self) -> str:
        """Hex sha256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def mark(self) -> CalibrationMark:
        """What checkpoints remember of it."""
        return CalibrationMark(self.arm, self.date, self.digest)

    @property
    def file_name(self) -> str:
        """`<arm>-YYYY-MM-DDTHHMMSS.json`."""
        return f"{self.arm}-{_time(self.date):%Y-%m-%dT%H%M%S}.json"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Calibration:
        """Inverse of `to_dict`.

        Raises:
            CalibrationError: When it can't be; KeyError, TypeError, ValueError when it has another shape.
        """
        return cls(
            arm=str(raw["arm"]),
            date=str(raw["date"]),
            joint_offsets=tuple(float(x) for x in raw["joint_offsets"]),
            joint_deviations=tuple(None if x is None else float(x) for x in raw["joint_deviations"]),
            cameras={name: _camera(entry) for name, entry in raw["cameras"].items()},
        )

    def save(self, folder: Path) -> Path:
        """Write the dated file, whole or not at all; returns its path.

        Raises:
            CalibrationError: When the file exists already or the disk refuses.
        """
        path = folder / self.file_name
        if path.exists():
            raise CalibrationError(f"{path} exists already; calibrations are never overwritten. Wait a second.")
        text = json.dumps({"kind": KIND, "digest": self.digest, "calibration": self.to_dict()}, indent=2)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, (text + "\n").encode())
        except OSError as error:
            raise CalibrationError(f"{path} can't be written: {error}. Make room or check the permissions.") from error
        return path


def now() -> str:
    """The present date for a `Calibration`."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def load_calibration(path: Path) -> Calibration:
    """Read a file of `Calibration.save`.

    Raises:
        CalibrationError: When it is missing, damaged or something else.
    """
    advice = "Use an older one (delete or move this file), or run `regrasp calibrate` again."
    try:
        outer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CalibrationError(f"The calibration {path} can't be read: {error}. {advice}") from error
    if not isinstance(outer, dict) or outer.get("kind") != KIND:
        raise CalibrationError(f"{path} is no calibration; expected a file of kind {KIND!r} (`regrasp calibrate`).")
    try:
        calibration = Calibration.from_dict(outer["calibration"])
    except (KeyError, TypeError, ValueError, AttributeError, CalibrationError) as error:
        raise CalibrationError(f"The calibration {path} is damaged ({error!r}). {advice}") from error
    if calibration.digest != outer.get("digest"):
        raise CalibrationError(f"The calibration {path} is damaged: its digest doesn't match its content. {advice}")
    return calibration


def newest_calibration(folder: Path, arm: str) -> Calibration | None:
    """The newest calibration of an arm in a folder; None when there is none.

    Raises:
        CalibrationError: When the newest is damaged: an older one is never taken silently.
    """
    named = re.compile(rf"{re.escape(arm)}-{_STAMP}\.json")
    found = sorted(path for path in folder.glob(f"{arm}-*.json") if named.fullmatch(path.name))
    return load_calibration(found[-1]) if found else None


def calibration_warning(saved: CalibrationMark | None, present: CalibrationMark | None) -> str | None:
    """What to tell a person who runs a policy on an arm that was calibrated anew; None when there is nothing to say.

    Args:
        saved: The calibration that the policy was trained with; None if it had none (the twin).
        present: The arm's present one; None if it has none.
    """
    if saved is None or present is None or saved.digest == present.digest:
        return None
    return (
        f"The policy was trained with the calibration of {saved.date} ({saved.arm}), the arm now has that of "
        f"{present.date} ({present.arm}). The same joint angles and pixels may mean slightly other places: expect "
        "lower success at first, fine-tune on, or evaluate before you rely on it."
    )


def _camera(raw: Mapping[str, Any]) -> CameraCalibration:
    inner, (height, width) = raw["intrinsics"], raw["size"]
    return CameraCalibration(
        size=(int(height), int(width)),
        intrinsics=Intrinsics.of([*inner["focal"], *inner["centre"], *inner["distortion"]]),
        mount=raw["mount"],
        pose=tuple(tuple(float(x) for x in row) for row in raw["pose"]),
        error_px=float(raw["error_px"]),
        error_mm=float(raw["error_mm"]),
        views=int(raw["views"]),
    )


def _time(date: str) -> datetime:
    """The date as a time in UTC.

    Raises:
        CalibrationError: When it isn't one.
    """
    try:
        time = datetime.fromisoformat(date)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{date!r} is no date; expected ISO 8601 such as 2026-11-21T10:00:00+00:00.") from error
    if time.utcoffset() is None:
        raise CalibrationError(f"The date {date!r} doesn't name its time zone; expected +00:00 at its end.")
    return time.astimezone(UTC)


def _finite(numbers: Sequence[float]) -> bool:
    return all(math.isfinite(x) for x in numbers)
