"""What the keys of a foreign data set mean: a YAML of `configs/doors/`, or one of a person's own.

Nothing is guessed: what a mapping leaves open and the source doesn't say is refused, with the key to set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trajectories.errors import ConfigError
from trajectories.settings import build, require_known
from trajectories.types import PROPRIO_NAMES, Outcome

WHERE = "doors"
"""The settings' name for a person: its keys are `doors.action.form` and so on."""
RotationForm = Literal["rpy_down", "rpy", "quat_xyzw", "quat_wxyz", "rotvec", "matrix"]
ActionForm = Literal["reached", "delta", "pose", "joints"]
_NUMBERS = {"rpy_down": 3, "rpy": 3, "quat_xyzw": 4, "quat_wxyz": 4, "rotvec": 3, "matrix": 9}


@dataclass(frozen=True)
class Entries:
    """Numbers of a column.

    Attributes:
        key: Of the column.
        entries: Which of its numbers, by place or by the source's names for them; None takes all.
        scale: Factor, for example 0.001 for millimetres.
    """

    key: str
    entries: tuple[Any, ...] | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Rotation:
    """A rotation of the gripper.

    Attributes:
        key: Of the column.
        entries: Which of its numbers; None takes all.
        form: rpy_down: static x-y-z angles, rad, from the gripper pointing down (BridgeData). rpy: the same from the
            axes of the base. quat_xyzw, quat_wxyz, rotvec (axis times angle), matrix (9 numbers, row after row).
        fingers: Which axis of the gripper's frame runs along the fingers; of no matter to rpy_down.
        turned: Degrees about the fingers from the source's gripper to ours in the same pose, e.g. 180 where the hand is
            built in the other way round: the fingers are alike, the yaw isn't.
    """

    key: str
    form: RotationForm
    entries: tuple[Any, ...] | None = None
    fingers: Literal["x", "z"] = "x"
    turned: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return _NUMBERS[self.form]


@dataclass(frozen=True)
class Joints:
    """Angles of the arm's joints, in the order of the `ArmModel`.

    Attributes:
        key: Of the column.
        entries: Which of its numbers; None takes all.
        units: radians, degrees, or percent of a range (-100 ... 100); None is refused: the numbers don't say.
        range: (N, 2) degrees at -100 and at 100, for percent.
        sign: (N,) 1 or -1; None: all 1.
        zero: (N,) degrees, of the source's angle where the `ArmModel`'s is 0; None: all 0.
    """

    key: str
    entries: tuple[Any, ...] | None = None
    units: Literal["radians", "degrees", "percent"] | None = None
    range: tuple[tuple[float, float], ...] | None = None
    sign: tuple[float, ...] | None = None
    zero: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Where the tip of the gripper is: a pose, or joints.

    Attributes:
        position: m, three numbers.
        rotation: Of the gripper.
        joints: In place of position and rotation.
    """

    position: Entries | None = None
    rotation: Rotation | None = None
    joints: Joints | None = None


@dataclass(frozen=True)
class Gripper:
    """How far the gripper is open, one number.

    Attributes:
        key: Of the column.
        open: Its value when open.
        closed: Its value when closed.
        entries: Which numbers of the column; None takes all. Of several (two fingers) the sum of the magnitudes counts.
        open_above: Part of the way from closed to open above which a command means open.
        closed_below: The same for closed; between both a command means what the next clear one says.
    """

    key: str
    open: float
    closed: float
    entries: tuple[Any, ...] | None = None
    open_above: float = 0.5
    closed_below: float = 0.5


@dataclass(frozen=True)
class Action:
    """What was done.

    Attributes:
        form: reached: the motion from one measured pose to the next, which is how BridgeData's loaders relabel. delta:
            a recorded change of pose. pose: recorded absolute poses. joints: recorded absolute joints.
        gripper: The command to it.
        position: Of delta (m, along the base's axes) and pose.
        rotation: Of delta (rpy or rotvec, about the tip and the base's axes) and pose.
        joints: Of the form joints.
        position_scale: m that 1 means, for delta.
        rotation_scale: rad that 1 means, for delta.
        composed_on: What a delta is composed on: the last target, or the measured pose.
    """

    form: ActionForm
    gripper: Gripper
    position: Entries | None = None
    rotation: Rotation | None = None
    joints: Joints | None = None
    position_scale: float = 1.0
    rotation_scale: float = 1.0
    composed_on: Literal["target", "measured"] = "target"


@dataclass(frozen=True)
class Success:
    """How an episode went.

    Attributes:
        key: A column: a success where any of its numbers is above `above`, else a failure.
        above: See `key`.
        attribute: An attribute of the episode: true and false, or success, failure and unknown.
        otherwise: Of episodes whose source has neither; None is refused.
    """

    key: str | None = None
    above: float = 0.5
    attribute: str | None = None
    otherwise: Outcome | None = None


@dataclass(frozen=True)
class CameraKey:
    """Where the frames of one of our cameras come from.

    Attributes:
        key: Of the source's camera.
        crop: (top, left, height, width) of what is used, pixels; None: as much as fits of the target's shape, in the
            middle.
        depth: Key of the source's frames of depth, seen from the same place; None: none is taken.
        depth_scale: mm that 1 means in them.
    """

    key: str
    crop: tuple[int, int, int, int] | None = None
    depth: str | None = None
    depth_scale: float = 1.0


@dataclass(frozen=True)
class DoorMapping:
    """What the keys of a source mean.

    Attributes:
        cameras: Our camera, by its role -> the source's.
        tip: Measured pose of the tip.
        gripper: Measured.
        action: What was done.
        success: How it went.
        arm: Name of the `ArmModel` for joints and for the gripper's width; None where there is none.
        fps: Frames per second, where the source doesn't say.
        base: x, y, z in m and roll, pitch, yaw in rad of the arm's base in the frame of the source's poses.
        instruction: For episodes without one; None is refused.
        task: Their name in records; None: that of the source.
        direction: Of the task; attributes of episodes that Regrasp exported have the last word.
        source: Who acted.
        source_key: A column with values of `Source`, in what Regrasp exported.
        proprio: Entry of our proprioception -> a column's number, or a constant, in place of what follows from the
            rest.
        max_clipped: Part of an episode's steps that may be faster than an action can say; one with more is dropped.
    """

    cameras: Mapping[str, CameraKey]
    tip: Place
    action: Action
    gripper: Gripper | None = None
    success: Success = field(default_factory=Success)
    arm: str | None = None
    fps: float | None = None
    base: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    instruction: str | None = None
    task: str | None = None
    direction: Literal["forward", "backward"] = "forward"
    source: Literal["policy", "person", "expert"] = "person"
    source_key: str | None = None
    proprio: Mapping[str, Entries | float] = field(default_factory=dict)
    max_clipped: float = 0.05

    def conditions(self) -> dict[str, Any]:
        """Everything that decides how an episode comes out, plain JSON types."""
        return {name: value for name, value in asdict(self).items() if name != "max_clipped"}


def mapping_of(raw: Mapping[str, Any]) -> DoorMapping:
    """A mapping from the plain values of a YAML.

    Raises:
        ConfigError: A key is unknown, missing or of another type, or parts contradict each other.
    """
    cameras, proprio = raw.get("cameras") or {}, raw.get("proprio") or {}
    if not cameras:
        raise ConfigError(
            f"{WHERE}.cameras is empty. Choose what the source's keys mean by {WHERE}=NAME (`regrasp import --help` "
            "lists "
            f"the names), or name a camera of the source, {WHERE}.cameras={{front: {{key: ...}}}}."
        )
    require_known(proprio, PROPRIO_NAMES, f"{WHERE}.proprio")
    nested = {
        "cameras": {role: build(CameraKey, given, f"{WHERE}.cameras.{role}") for role, given in cameras.items()},
        "proprio": {name: _entry(given, f"{WHERE}.proprio.{name}") for name, given in proprio.items()},
    }
    mapping: DoorMapping = build(DoorMapping, {**raw, **nested}, WHERE)
    _require_whole(mapping)
    return mapping


def _entry(given: Any, where: str) -> Entries | float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}; expected a number, or key and entries of a column.")
    return build(Entries, given, where)


def _require_whole(mapping: DoorMapping) -> None:
    """Refuse a mapping of which no episode could be made.

    Raises:
        ConfigError: With the key to set.
    """
    action = mapping.action
    _require_place(mapping.tip, f"{WHERE}.tip", mapping.arm)
    if action.form in ("pose", "joints"):
        _require_place(Place(action.position, action.rotation, action.joints), f"{WHERE}.action", mapping.arm)
    if action.form == "joints" and action.joints is None:
        raise ConfigError(f"{WHERE}.action.form is joints, but {WHERE}.action.joints isn't set; give its key.")
    if action.form == "delta":
        if action.position is None:
            raise ConfigError(f"{WHERE}.action.form is delta; give {WHERE}.action.position, the change of position.")
        if action.rotation is not None and action.rotation.form not in ("rpy", "rotvec"):
            raise ConfigError(
                f"{WHERE}.action.rotation.form is {action.rotation.form}; a change of rotation is rpy or rotvec."
            )
    for gripper, where in ((mapping.gripper, f"{WHERE}.gripper"), (action.gripper, f"{WHERE}.action.gripper")):
        if gripper is not None and not (gripper.open != gripper.closed and gripper.closed_below <= gripper.open_above):
            raise ConfigError(f"{where} has open {gripper.open} and closed {gripper.closed}; expected two values.")


def _require_place(place: Place, where: str, arm: str | None) -> None:
    joints = place.joints
    if joints is None:
        if place.position is None or place.rotation is None:
            raise ConfigError(f"{where} needs position and rotation, or joints; give their keys in the source.")
        return
    if arm is None:
        raise ConfigError(
            f"{where}.joints are angles of an arm that isn't named: set {WHERE}.arm to its ArmModel (a package can "
            "bring "
            f"one, docs/extending.md), or {where}.joints=null with {where}.position and {where}.rotation where the "
            "source "
            "has poses of the end effector."
        )
    if joints.units is None:
        raise ConfigError(
            f"{where}.joints.units isn't set, and the numbers don't say: radians, degrees, or percent of a range "
            f"({where}.joints.range)."
        )
    if joints.units == "percent" and joints.range is None:
        raise ConfigError(
            f"{where}.joints are in percent of a range; set {where}.joints.range to [degrees at -100, degrees at "
            "100] of "
            "every joint, which the calibration of that arm says."
        )
