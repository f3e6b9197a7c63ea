"""The types that flow through the house. Arrays state shape, dtype and unit; time is monotonic ns, `t_ns`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trajectories.errors import ConfigError, SpecMismatchError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

Direction = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, Direction] = ("forward", "backward")
"""Both ways of a task, in the order in which sessions take them."""


def other_direction(direction: Direction) -> Direction:
    """The way back."""
    return "backward" if direction == "forward" else "forward"


Outcome = Literal["success", "failure", "unknown"]
ACTION_SIZE = 7

PROPRIO_NAMES: tuple[str, ...] = (
    "tip_x", "tip_y", "tip_z",  # m, base frame
    "tip_roll", "tip_pitch", "tip_yaw",  # rad, relative to the gripper pointing down
    "gripper_width",  # m, gap between the fingers, measured
    "gripper_command",  # -1 closed ... 1 open, last executed
    "gripper_effort",  # -1 ... 1, fraction of the largest gripper effort
    "target_x", "target_y", "target_z",  # m, the pose that the next action is composed on
    "target_yaw",  # rad
)  # fmt: skip


class Source(IntEnum):
    """Who chose an executed action."""

    POLICY = 0
    PERSON = 1
    EXPERT = 2


_ALWAYS_WRITTEN = frozenset({"joints", "cameras", "proprio", "action_scale", "control_hz"})
"""Entries of a `RobotSpec` that every version of Regrasp has written down."""


def digest_of(content: Mapping[str, Any]) -> str:
    """Hex sha256 of plain JSON types, keys sorted."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class RobotSpec:
    """What a robot looks like to a policy. Its digest travels with every store, checkpoint and connection.

    Attributes:
        joints: Joint names, base to wrist.
        cameras: Camera name -> (height, width) in pixels; frames are uint8 RGB.
        proprio: Names of the proprioception entries, in order.
        action_scale: (7,) what an action of 1 means: m for x, y, z, rad for roll, pitch, yaw, 1 for the
            gripper.
        control_hz: Control steps per second.
        depth: Cameras whose depth is recorded, too, of the size of their frames: uint16, mm, 0 where nothing was
            measured, seen from the depth sensor. It isn't written down where there is none.
    """

    joints: tuple[str, ...] = (
        "waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate",
    )  # fmt: skip
    cameras: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"front": (96, 96)})
    proprio: tuple[str, ...] = PROPRIO_NAMES
    action_scale: tuple[float, ...] = (0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0)
    control_hz: float = 5.0
    depth: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring numbers and sequences to one type each: specifications that are equal have equal digests."""
        sizes = {name: (int(height), int(width)) for name, (height, width) in self.cameras.items()}
        scale = tuple(float(value) for value in self.action_scale)
        values = {"joints": tuple(self.joints), "cameras": sizes, "proprio": tuple(self.proprio)}
        for name, value in (values | {"action_scale": scale, "control_hz": float(self.control_hz)}).items():
            object.__setattr__(self, name, value)
        unknown = [name for name in self.depth if name not in sizes]
        if unknown:
            raise ConfigError(
                f"Depth of {', '.join(unknown)} is asked for; the robot's cameras are {', '.join(sizes)}."
            )
        object.__setattr__(self, "depth", tuple(name for name in sizes if name in self.depth))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        raw: dict[str, Any] = json.loads(json.dumps(asdict(self), sort_keys=True))
        if not self.depth:  # what a robot without depth is called stays what it was before there was any
            del raw["depth"]
        return raw

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> RobotSpec:
        """Inverse of `to_dict`; what an earlier version did not write down has its default.

        Raises:
            SpecMismatchError: For an entry that this version doesn't know, by name: a later version wrote it.
            KeyError: When one is missing that every version wrote.
        """
        missing = sorted(_ALWAYS_WRITTEN - set(raw))
        if missing:
            raise KeyError(missing[0])
        unknown = sorted(set(raw) - {entry.name for entry in fields(cls)})
        if unknown:
            raise SpecMismatchError(
                f"A robot specification has the entry {unknown[0]!r} ({raw[unknown[0]]!r}), which this version of "
                "Regrasp doesn't know. Use the version that wrote it, or a later one."
            )
        return cls(**raw)

    @property
    def digest(self) -> str:
        """Hex sha256 of the canonical JSON."""
        return digest_of(self.to_dict())

    def require_same(self, other: RobotSpec, what: str) -> None:
        """Refuse `other`, which belongs to `what`, unless it equals this one.

        Raises:
            SpecMismatchError: With both digests and the first difference.
        """
        if self.digest == other.digest:
            return
        mine, theirs = self.to_dict(), other.to_dict()
        key = next(k for k in sorted({*mine, *theirs}) if mine.get(k) != theirs.get(k))
        raise SpecMismatchError(
            f"{what} was made for another robot specification: {key} is {theirs.get(key)!r} there and "
            f"{mine.get(key)!r} here (digests {other.digest[:12]} and {self.digest[:12]}). "
            "Use data made with this robot configuration, or the configuration that the data was made with."
        )


@dataclass(frozen=True)
class Observation:
    """One snapshot of the robot.

    Attributes:
        images: Camera name -> uint8 (H, W, 3) RGB.
        proprio: float32 (P,), see `PROPRIO_NAMES`.
        instruction: What the robot is asked to do, in words.
        t_ns: Source name ("joints" and each camera) -> monotonic ns of the measurement.
        depth: Camera -> uint16 (H, W), mm, for those of `RobotSpec.depth`.
    """

    images: Mapping[str, UInt8]
    proprio: Float32
    instruction: str
    t_ns: Mapping[str, int]
    depth: Mapping[str, UInt16] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """What is sent to the arm after safety and inverse kinematics.

    Attributes:
        joints: float64 (N,) joint targets, rad.
        gripper_width: Gap between the fingers, m.
        t_ns: When it was computed.
        clipped: Names of the limits that changed it, empty if none.
    """

    joints: Float64
    gripper_width: float
    t_ns: int
    clipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Episode:
    """A whole episode of T steps in columns: T + 1 observations, T of everything else.

    Attributes:
        id: Unique and sortable by time of creation.
        task: Task name, e.g. "pot_pick_place".
        instruction: In words.
        direction: "forward" or "backward".
        outcome: What the judge (person, expert or reward model) said.
        images: Camera -> uint8 (T + 1, H, W, 3).
        proprio: float32 (T + 1, P).
        t_ns: Source -> int64 (T + 1,).
        proposed: float32 (T, 7) what the policy (or person) asked for.
        executed: float32 (T, 7) what was sent after safety: this is what learners train on.
        rewards: float32 (T,) as labelled when the episode ended.
        terminated: bool (T,) True where the task ended by success; never for time-outs.
        truncated: bool (T,) True where time ran out or the session was stopped.
        source: uint8 (T,) values of `Source`.
        policy_version: int64 (T,), -1 where no policy acted.
        success_probability: float32 (T + 1,) of the reward model, NaN where none ran.
        metadata: JSON: seeds, wording, who judged; key "evaluation" holds the twin's predicate, never trained
            on.
        depth: Camera -> uint16 (T + 1, H, W), mm, for those of `RobotSpec.depth`.
    """

    id: str
    task: str
    instruction: str
    direction: Direction
    outcome: Outcome
    images: Mapping[str, UInt8]
    proprio: Float32
    t_ns: Mapping[str, Int64]
    proposed: Float32
    executed: Float32
    rewards: Float32
    terminated: Bool
    truncated: Bool
    source: UInt8
    policy_version: Int64
    success_probability: Float32
    metadata: Mapping[str, Any] = field(default_factory=dict)
    depth: Mapping[str, UInt16] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.executed)


@dataclass(frozen=True)
class Weights:
    """Named float tensors of one policy version.

    Attributes:
        version: Grows by one with every publication of a run.
        sha256: Hex digest of the safetensors payload.
        tensors: Name -> array.
    """

    version: int
    sha256: str
    tensors: Mapping[str, NDArray[Any]]
