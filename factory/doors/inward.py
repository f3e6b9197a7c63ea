"""A foreign episode as one of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from factory.doors.columns import Columns
from factory.doors.mapping import WHERE, DoorMapping, Entries
from factory.doors.motion import Clock, Motion, UnfitEpisodeError, clock_of, read_motion
from factory.doors.pictures import depth_frames_of, depths, frames_of, pictures
from robot.arms.registry import arm_model
from trajectories.errors import ConfigError
from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode
from trajectories.labels import sparse_labels
from trajectories.provenance import IMPORTED
from trajectories.recorder import new_episode_id
from trajectories.types import (
    DIRECTIONS,
    PROPRIO_NAMES,
    Direction,
    Episode,
    Float32,
    Float64,
    Outcome,
    RobotSpec,
    Source,
    UInt8,
)

_ALWAYS = (
    *("tip_x", "tip_y", "tip_z", "tip_roll", "tip_pitch", "tip_yaw"),
    *("gripper_command", "target_x", "target_y", "target_z", "target_yaw"),
)
"""Entries of our proprioception that follow from poses and commands."""

_LONGEST_ATTRIBUTE = 500
"""Characters of JSON; what is longer isn't copied into every episode's record."""


@dataclass(frozen=True)
class Prepared:
    """An episode whose columns fit; its pictures have not been decoded.

    Attributes:
        foreign: As its file has it.
        clock: Which of its frames our observations are.
        motion: What was done.
        proprio: float32 (S + 1, P).
        outcome: How it went.
        instruction: In words.
        source: uint8 (S,) who acted.
        fps: Frames per second.
    """

    foreign: ForeignEpisode
    clock: Clock
    motion: Motion
    proprio: Float32
    outcome: Outcome
    instruction: str
    source: UInt8
    fps: float


def given_proprio(mapping: DoorMapping) -> tuple[str, ...]:
    """The entries of our proprioception that a mapping gives, in our order."""
    width = {"gripper_width"} if mapping.gripper is not None and mapping.arm is not None else set()
    given = {*_ALWAYS, *mapping.proprio} | width
    return tuple(name for name in PROPRIO_NAMES if name in given)


def new_store_spec(
    mapping: DoorMapping, joints: tuple[str, ...], size: tuple[int, int], control_hz: float
) -> RobotSpec:
    """The specification of a store that is made for a source: what the mapping gives, nothing else."""
    names = arm_model(mapping.arm).joints if mapping.arm is not None else joints
    cameras = dict.fromkeys(mapping.cameras, size)
    deep = tuple(role for role, camera in mapping.cameras.items() if camera.depth is not None)
    return RobotSpec(joints=names, cameras=cameras, proprio=given_proprio(mapping), control_hz=control_hz, depth=deep)


def require_fits(mapping: DoorMapping, spec: RobotSpec, store: str) -> None:
    """Refuse a store that wants more of an episode than the mapping gives.

    Raises:
        ConfigError: With the key to set.
    """
    if set(mapping.cameras) != set(spec.cameras):
        raise ConfigError(
            f"{store} has the cameras {', '.join(sorted(spec.cameras))}, the mapping "
            f"{', '.join(sorted(mapping.cameras))}: "
            f"set {WHERE}.cameras to the same roles, or import into a store of its own."
        )
    flat = [role for role in spec.depth if mapping.cameras[role].depth is None]
    if flat:
        raise ConfigError(
            f"{store} has depth of the camera {flat[0]}, which the mapping doesn't give: set "
            f"{WHERE}.cameras.{flat[0]}.depth "
            "to its key in the source, or import into a store of its own."
        )
    missing = [name for name in spec.proprio if name not in given_proprio(mapping)]
    if missing:
        raise ConfigError(
            f"{store} has {', '.join(missing)} in its proprioception, which the mapping doesn't give: set "
            f"{WHERE}.proprio.{missing[0]} to a column of the source or to a constant"
            + (f", or {WHERE}.gripper and {WHERE}.arm" if missing[0] == "gripper_width" else "")
            + ", or import into a store of its own."
        )


def prepare(foreign: ForeignEpisode, description: Description, mapping: DoorMapping, spec: RobotSpec) -> Prepared:
    """Read the columns of an episode as the mapping says.

    Args:
        foreign: As its file has it.
        description: Of its source.
        mapping: What its keys mean.
        spec: Of the store that it goes to.

    Raises:
        ConfigError: Something that all episodes need isn't there, or isn't said; with the key to set.
        DamagedEpisodeError: This one can't be read.
        UnfitEpisodeError: This one is too short or too fast.
    """
    fps = foreign.fps if mapping.fps is None else mapping.fps
    if fps is None:
        raise ConfigError(f"The source doesn't say how many frames a second it has; set {WHERE}.fps.")
    columns = Columns(foreign, description)
    _require_cameras(foreign, description, mapping)
    cameras = {role: frames_of(foreign, camera, role) for role, camera in mapping.cameras.items()}
    lengths = {role: frames.shape[0] for role, frames in cameras.items()}
    for role in spec.depth:
        lengths[f"{role}, depth"] = depth_frames_of(foreign, mapping.cameras[role], role).shape[0]
    if len(set(lengths.values())) != 1:
        raise DamagedEpisodeError(f"Its cameras have {lengths} frames; expected the same number.")
    observations = next(iter(lengths.values()))
    clock = clock_of(observations, fps, spec.control_hz)
    motion = read_motion(columns, mapping, clock, spec.action_scale, observations)
    if motion.clipped > mapping.max_clipped:
        raise UnfitEpisodeError(
            f"{100 * motion.clipped:.0f} % of its steps are faster than an action can say at {spec.control_hz:g} Hz, "
            f"more than {WHERE}.max_clipped={mapping.max_clipped:g}."
        )
    found = _proprio(columns, mapping, clock, motion, observations)
    proprio = np.stack([found[name] for name in spec.proprio], 1).astype(np.float32)
    if not np.isfinite(proprio).all():
        raise DamagedEpisodeError("Its proprioception is NaN or infinite in some frames.")
    return Prepared(
        foreign,
        clock,
        motion,
        proprio,
        outcome_of(columns, mapping),
        _instruction(foreign, mapping),
        _sources(columns, mapping, clock),
        fps,
    )


def _require_cameras(foreign: ForeignEpisode, description: Description, mapping: DoorMapping) -> None:
    keys = [key for camera in mapping.cameras.values() for key in (camera.key, camera.depth)]
    absent = [key for key in keys if key in description.keys and key not in foreign.images]
    if absent:
        raise DamagedEpisodeError(f"It has no {absent[0]!r}, which other episodes of the source have.")


def to_episode(
    ready: Prepared, description: Description, mapping: DoorMapping, spec: RobotSpec, source: str
) -> Episode:
    """The episode of ours that a prepared one is, with its pictures.

    Args:
        ready: Of `prepare`, with the same description, mapping and specification.
        description: Of its source.
        mapping: What its keys mean.
        spec: Of the store that it goes to.
        source: Name of the source, for the episode's record.

    Raises:
        ConfigError: A crop lies outside of the frames.
        DamagedEpisodeError: A frame can't be decoded.
    """
    foreign, clock, steps = ready.foreign, ready.clock, ready.clock.steps
    rewards, terminated = sparse_labels(steps, ready.outcome)
    truncated = np.zeros(steps, np.bool_)
    truncated[-1] = ready.outcome != "success"
    images = {
        role: pictures(frames_of(foreign, camera, role), clock.frames.tolist(), camera.crop, spec.cameras[role], role)
        for role, camera in mapping.cameras.items()
    }
    deep = {
        role: depths(
            depth_frames_of(foreign, mapping.cameras[role], role),
            clock.frames.tolist(),
            mapping.cameras[role],
            spec.cameras[role],
            role,
        )
        for role in spec.depth
    }
    return Episode(
        id=new_episode_id(),
        task=mapping.task or str(foreign.attributes.get("task") or source),
        instruction=ready.instruction,
        direction=_direction(foreign, mapping),
        outcome=ready.outcome,
        images=images,
        depth=deep,
        proprio=ready.proprio,
        t_ns=dict.fromkeys(("joints", *spec.cameras), clock.times_ns),
        proposed=ready.motion.actions,
        executed=ready.motion.actions,
        rewards=rewards,
        terminated=terminated,
        truncated=truncated,
        source=ready.source,
        policy_version=np.full(steps, -1, np.int64),
        success_probability=np.full(steps + 1, np.nan, np.float32),
        metadata={IMPORTED: _provenance(ready, description, source)},
    )


def outcome_of(columns: Columns, mapping: DoorMapping) -> Outcome:
    """How an episode went.

    Raises:
        ConfigError: Nothing says it.
    """
    success, attributes = mapping.success, columns.episode.attributes
    if success.attribute is not None and success.attribute in attributes:
        value = attributes[success.attribute]
        if value in ("success", "failure", "unknown"):
            return value
        if isinstance(value, bool | int | float):
            return "success" if value else "failure"
        raise ConfigError(
            f"The attribute {success.attribute!r} of {columns.episode.name} is {value!r}; expected true, false."
        )
    if success.key is not None and success.key in columns.episode.columns:
        values = columns.numbers(Entries(success.key), "success.key")
        return "success" if bool((values > success.above).any()) else "failure"
    if success.otherwise is None:
        raise ConfigError(
            f"The source doesn't say how its episodes went: set {WHERE}.success.key to a column, "
            f"{WHERE}.success.attribute, "
            f"or {WHERE}.success.otherwise=success where all are demonstrations of the task done (failure, unknown)."
        )
    return success.otherwise


def content_digest(foreign: ForeignEpisode) -> str:
    """Hex sha256 of an episode's columns and instructions: whether a name still means the same episode."""
    total = hashlib.sha256(repr((foreign.instructions, sorted(foreign.images))).encode())
    for key, column in sorted(foreign.columns.items()):
        total.update(f"{key} {column.shape} {column.dtype}".encode())
        total.update(np.ascontiguousarray(column).tobytes())
    return total.hexdigest()


def _proprio(
    columns: Columns, mapping: DoorMapping, clock: Clock, motion: Motion, observations: int
) -> Mapping[str, Float64]:
    """Every entry that the mapping gives, float64 (S + 1,)."""
    names = ("x", "y", "z", "roll", "pitch", "yaw")
    tip = np.concatenate([motion.tip.position, motion.tip.rpy], 1)
    target = np.concatenate([motion.target.position, motion.target.rpy], 1)
    found = {f"tip_{name}": tip[:, i] for i, name in enumerate(names)}
    found |= {f"target_{name}": target[:, i] for i, name in enumerate(names)}
    opened = motion.actions[0, 6] > 0
    if mapping.gripper is not None:
        opening = columns.opening(mapping.gripper, "gripper")
        if len(opening) < observations:
            raise DamagedEpisodeError(f"{WHERE}.gripper has {len(opening)} rows for {observations} frames.")
        opened = opening[clock.frames[0]] > 0.5
        if mapping.arm is not None:
            found["gripper_width"] = opening[clock.frames].clip(0.0, 1.0) * arm_model(mapping.arm).opening
    found["gripper_command"] = np.concatenate([[1.0 if opened else -1.0], motion.actions[:, 6]])
    for name, given in mapping.proprio.items():
        if isinstance(given, Entries):
            values = columns.numbers(given, f"proprio.{name}", 1)
            if len(values) < observations:
                raise DamagedEpisodeError(f"{WHERE}.proprio.{name} has {len(values)} rows for {observations} frames.")
            found[name] = values[clock.frames, 0]
        else:
            found[name] = np.full(clock.steps + 1, given)
    return found


def _instruction(foreign: ForeignEpisode, mapping: DoorMapping) -> str:
    words = foreign.instructions[0] if foreign.instructions else mapping.instruction
    if not words:
        raise ConfigError(
            f"Episode {foreign.name!r} has no instruction: set {WHERE}.instruction to what the robot was asked to do."
        )
    return words


def _direction(foreign: ForeignEpisode, mapping: DoorMapping) -> Direction:
    recorded = foreign.attributes.get("direction")
    return recorded if recorded in DIRECTIONS else mapping.direction


def _sources(columns: Columns, mapping: DoorMapping, clock: Clock) -> UInt8:
    if mapping.source_key is None or mapping.source_key not in columns.episode.columns:
        return np.full(clock.steps, Source[mapping.source.upper()], np.uint8)
    values = columns.numbers(Entries(mapping.source_key), "source_key", 1)[:, 0]
    return values[clock.frames[1:] - 1].astype(np.uint8)


def _provenance(ready: Prepared, description: Description, source: str) -> dict[str, Any]:
    foreign = ready.foreign
    return {
        "source": source,
        "episode": foreign.name,
        "format": f"{description.format} {description.version}".strip(),
        "robot_type": description.robot_type,
        "fps": ready.fps,
        "digest": content_digest(foreign),
        "clipped": ready.motion.clipped,
        "wordings": list(foreign.instructions),
        "attributes": {
            key: value for key, value in foreign.attributes.items() if len(json.dumps(value)) <= _LONGEST_ATTRIBUTE
        },
    }
