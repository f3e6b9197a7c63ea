"""Hindsight keypoints: where an object was picked and placed, read off proprioception after the fact.

Nothing but the tip's pose, the gripper's command and the measured gap between the fingers is used, so a real arm labels
its own frames: the gripper closed and something kept the fingers apart, therefore the object was where the tip was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.errors import ConfigError
from trajectories.types import Bool, Episode, Float32

HELD_WIDTH = 0.002
"""m, fingers that stop further apart than this hold something."""
SETTLED_STEP = 0.0015
"""m per control step, fingers that move less have stopped."""
POINT_SIZE = 3
PICK_SIZE = 5
PLACE_SIZE = 3
KEYPOINT_SIZE = PICK_SIZE + PLACE_SIZE


@dataclass(frozen=True)
class Grasp:
    """One stretch of frames in which the gripper held something.

    Attributes:
        closed: First frame after the order to close. The arm may move on in the very next step, so this frame, and
            not the one at which the fingers were seen to have stopped, shows where the object was.
        end: First frame at which it was no longer held (the episode's length if it was held to the end).
        released: True when the gripper was opened, False when the object slipped out or the episode ended.
    """

    closed: int
    end: int
    released: bool


@dataclass(frozen=True)
class KeypointLabels:
    """Labels of every frame of an episode, in the arm's base frame.

    Attributes:
        values: float32 (T + 1, 8): pick x, y, z in m, sin and cos of twice the pick yaw, place x, y, z in m.
        mask: float32 (T + 1, 8): 1 where the value is known, else 0.
    """

    values: Float32
    mask: Float32

    @property
    def known(self) -> Bool:
        """Frames with at least one label, bool (T + 1,)."""
        return np.asarray(self.mask.any(axis=1))


@dataclass(frozen=True)
class ProprioIndex:
    """Columns of the proprioception that keypoints need, found by name."""

    tip: tuple[int, int, int]
    yaw: int
    width: int
    command: int

    @classmethod
    def of(cls, names: tuple[str, ...]) -> ProprioIndex:
        """Find the columns.

        Raises:
            ConfigError: A name is missing.
        """
        wanted = ("tip_x", "tip_y", "tip_z", "tip_yaw", "gripper_width", "gripper_command")
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ConfigError(
                f"The proprioception has no {', '.join(missing)} (it has {', '.join(names)}). "
                "Hindsight keypoints need the tip's position and yaw, the gripper's width and its command."
            )
        x, y, z, yaw, width, command = (names.index(name) for name in wanted)
        return cls((x, y, z), yaw, width, command)


def find_grasps(width: Float32, command: Float32) -> list[Grasp]:
    """Find when something was held.

    Args:
        width: float32 (N,) gap between the fingers, m.
        command: float32 (N,) last executed gripper command of each frame, > 0 open.

    Returns:
        In order of time. A closed gripper that shut completely, or was opened again while it still moved, is none.
    """
    closed = np.concatenate([[False], np.asarray(command) <= 0.0, [False]])
    starts = np.flatnonzero(~closed[:-1] & closed[1:])
    ends = np.flatnonzero(closed[:-1] & ~closed[1:])
    grasps = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        still = np.abs(np.diff(width[start:end])) < SETTLED_STEP
        stopped = np.flatnonzero(still & (width[start + 1 : end] > HELD_WIDTH))
        if len(stopped) == 0:
            continue
        seen = start + 1 + int(stopped[0])
        slipped = np.flatnonzero(width[seen:end] <= HELD_WIDTH)
        if len(slipped):
            grasps.append(Grasp(start, seen + int(slipped[0]), released=False))
        else:
            grasps.append(Grasp(start, end, released=end < len(width)))
    return grasps


def label_keypoints(episode: Episode, names: tuple[str, ...]) -> KeypointLabels:
    """Label every frame of an episode from its own proprioception.

    The pick point is the tip's pose where the fingers next close on an object; while they hold it, the tip itself;
    after the last release, where that happened. After an object slipped out it is unknown until the next grasp. The
    place point is where the gripper last opened around an object, in episodes that succeeded only.

    What needs an entry of the proprioception that the episode lacks (NaN) is unknown.

    Args:
        episode: Of any task; play too.
        names: Names of the proprioception's entries (`RobotSpec.proprio`).
    """
    index = ProprioIndex.of(names)
    proprio = np.asarray(episode.proprio, dtype=np.float32)
    frames = len(proprio)
    tip = proprio[:, index.tip]
    double_yaw = 2.0 * proprio[:, index.yaw]
    pose = np.concatenate([tip, np.sin(double_yaw)[:, None], np.cos(double_yaw)[:, None]], axis=1)

    values = np.zeros((frames, KEYPOINT_SIZE), dtype=np.float32)
    mask = np.zeros((frames, KEYPOINT_SIZE), dtype=np.float32)
    grasps = find_grasps(proprio[:, index.width], proprio[:, index.command])
    known_from = 0
    for grasp in grasps:
        values[known_from : grasp.closed, :PICK_SIZE] = pose[grasp.closed]
        values[grasp.closed : grasp.end, :PICK_SIZE] = pose[grasp.closed : grasp.end]
        mask[known_from : grasp.end, :PICK_SIZE] = 1.0
        known_from = grasp.end
    if grasps and grasps[-1].released:
        values[known_from:, :PICK_SIZE] = pose[grasps[-1].end - 1]
        mask[known_from:, :PICK_SIZE] = 1.0
    if episode.outcome == "success":
        releases = [grasp.end for grasp in grasps if grasp.released]
        if releases:
            values[:, PICK_SIZE:] = tip[releases[-1] - 1]
            mask[:, PICK_SIZE:] = 1.0
    mask[np.isnan(values)] = 0.0
    return KeypointLabels(np.nan_to_num(values, nan=0.0), mask)
