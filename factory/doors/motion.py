"""What was done, whatever convention it was recorded in, as our actions at the control rate.

An action of ours is a change of the tip's target pose, along the base's axes and about the tip, and a command to the
gripper. Recorded deltas are joined over the frames of a control step; recorded poses and joints are targets, and the
action is the way from the last target to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation as Turn

from factory.doors.columns import Columns
from factory.doors.mapping import WHERE, DoorMapping, Place
from factory.doors.poses import Poses, read_place
from trajectories.errors import ConfigError, RegraspError
from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.numbers import NS_PER_S
from trajectories.types import Float32, Float64, Int64

_SLACK = 1e-6
_SAME_RATE = 1e-3
_FASTER = 1.0 + 1e-3
"""An action beyond this doesn't fit into -1 ... 1."""


class UnfitEpisodeError(RegraspError):
    """An episode is whole, but too short or too fast to be one of ours: it is left out, and said why."""


@dataclass(frozen=True)
class Clock:
    """Which frames of the source our observations are.

    Attributes:
        frames: int64 (S + 1,) numbers of the source's frames.
        times_ns: int64 (S + 1,) their times.
    """

    frames: Int64
    times_ns: Int64

    @property
    def steps(self) -> int:
        """S, control steps."""
        return len(self.frames) - 1


@dataclass(frozen=True)
class Motion:
    """What was done in S control steps.

    Attributes:
        tip: Measured, S + 1 poses.
        target: What each action is composed on, S + 1 poses.
        actions: float32 (S, 7), clipped to -1 ... 1.
        clipped: Part of the steps that were faster than an action can say.
    """

    tip: Poses
    target: Poses
    actions: Float32
    clipped: float


def clock_of(observations: int, fps: float, control_hz: float) -> Clock:
    """The frames that are nearest to the times of the control steps.

    Raises:
        ConfigError: The source is slower than the control rate: what happened in between isn't known.
        UnfitEpisodeError: The episode is shorter than a control step.
    """
    ratio = fps / control_hz
    if ratio < 1.0 - _SAME_RATE:
        raise ConfigError(
            f"The source has {fps:g} frames per second, the store {control_hz:g} steps: what happened in between isn't "
            f"known. Import into a store of its own with control_hz={fps:g}."
        )
    steps = observations - 1 if abs(ratio - 1.0) < _SAME_RATE else int((observations - 1) / ratio + _SLACK)
    if steps < 1:
        raise UnfitEpisodeError(
            f"It has {observations} frames at {fps:g} per second, which is no whole control step at {control_hz:g} Hz."
        )
    times = np.arange(steps + 1) / control_hz
    same = abs(ratio - 1.0) < _SAME_RATE
    frames = np.arange(steps + 1) if same else np.minimum(np.rint(times * fps).astype(np.int64), observations - 1)
    return Clock(frames, np.rint(frames / fps * NS_PER_S).astype(np.int64))


def read_motion(
    columns: Columns, mapping: DoorMapping, clock: Clock, scale: Sequence[float], observations: int
) -> Motion:
    """The motion of an episode.

    Args:
        columns: Of the episode.
        mapping: What they mean.
        clock: Which frames count.
        scale: (7,) what an action of 1 means.
        observations: Frames of the source that are used, one more than its actions.

    Raises:
        ConfigError: A key or entry isn't there.
        DamagedEpisodeError: Numbers are missing or not finite.
    """
    tip = read_place(columns, mapping.tip, "tip", mapping)
    _require_rows(len(tip), observations, "tip")
    gripper = columns.commands(mapping.action.gripper, "action.gripper")
    _require_rows(len(gripper), observations - 1, "action.gripper")
    here = tip.at(clock.frames)
    form = mapping.action.form
    if form == "delta":
        motions = _deltas(columns, mapping, clock, observations)
        target = _along(here, motions) if mapping.action.composed_on == "target" else here
    else:
        target = here if form == "reached" else _targets(columns, mapping, tip, observations).at(clock.frames)
        motions = target.motions()
    unclipped = motions / np.array(scale[:6])
    fast = (np.abs(unclipped) > _FASTER).any(1)
    commands = gripper[clock.frames[1:] - 1]
    actions = np.concatenate([unclipped.clip(-1.0, 1.0), commands[:, None]], 1).astype(np.float32)
    return Motion(here, target, actions, float(fast.mean()))


def _targets(columns: Columns, mapping: DoorMapping, tip: Poses, observations: int) -> Poses:
    """The poses that stood as target when each frame was seen: the first is where the tip was."""
    action = mapping.action
    place = Place(action.position, action.rotation, action.joints if action.form == "joints" else None)
    asked = read_place(columns, place, "action", mapping)
    _require_rows(len(asked), observations - 1, "action")
    steps = np.arange(observations - 1)
    told = asked.at(steps)
    position = np.concatenate([tip.position[:1], told.position])
    return Poses(position, Turn.concatenate([tip.turn[:1], told.turn]))


def _deltas(columns: Columns, mapping: DoorMapping, clock: Clock, observations: int) -> Float64:
    """Recorded changes of pose, joined over the frames of each control step, float64 (S, 6) m and rad."""
    action, steps = mapping.action, observations - 1
    if action.position is None:
        raise ConfigError(f"{WHERE}.action.form is delta; give {WHERE}.action.position, the change of position.")
    shift = columns.numbers(action.position, "action.position", 3) * action.position_scale
    _require_rows(len(shift), steps, "action.position")
    turned = np.zeros((len(shift), 3))
    as_vectors = False
    if action.rotation is not None:
        turned = columns.numbers(action.rotation, "action.rotation", 3) * action.rotation_scale
        as_vectors = action.rotation.form == "rotvec"
    changes = np.concatenate([shift[:steps], turned[:steps]], 1)
    if not np.isfinite(changes).all():
        raise DamagedEpisodeError(
            f"{WHERE}.action is NaN or infinite in {int((~np.isfinite(changes)).any(1).sum())} steps."
        )
    base = np.array(mapping.base)
    if base.any():
        back = Turn.from_euler("xyz", base[3:]).inv()
        changes[:, :3] = back.apply(changes[:, :3])
    joined = np.add.reduceat(changes, clock.frames[:-1], axis=0)[: clock.steps]
    last = clock.frames[-1]
    joined[-1] = changes[clock.frames[-2] : last].sum(0)
    single = np.diff(clock.frames) == 1
    if single.all() and not as_vectors and not base[3:].any():
        return joined
    make = Turn.from_rotvec if as_vectors else (lambda angles: Turn.from_euler("xyz", angles))
    turns = make(changes[:, 3:])
    if base[3:].any():
        turns = back * turns * back.inv()
    for step, (first, end) in enumerate(zip(clock.frames[:-1], clock.frames[1:], strict=True)):
        whole = Turn.identity()
        for t in range(first, end):
            whole = turns[t] * whole
        joined[step, 3:] = whole.as_euler("xyz")
    return joined


def _along(start: Poses, motions: Float64) -> Poses:
    """The targets that motions lead to from the first pose on."""
    position = np.concatenate([start.position[:1], start.position[0] + np.cumsum(motions[:, :3], 0)])
    turns = [start.turn[0]]
    for turned in Turn.from_euler("xyz", motions[:, 3:]):
        turns.append(turned * turns[-1])
    return Poses(position, Turn.concatenate(turns))


def _require_rows(rows: int, needed: int, where: str) -> None:
    if rows < needed:
        raise DamagedEpisodeError(f"{WHERE}.{where} has {rows} rows; {needed} are needed for its frames.")
