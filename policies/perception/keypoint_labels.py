"""Hindsight keypoints: where an object was picked and placed, read off proprioception after the fact.

Nothing but the tip's pose, the gripper's command and the measured gap between the fingers is used, so a real arm labels
its own frames: the gripper closed and something kept the fingers apart, therefore the object was where the tip was.
Where a tool stays in the gripper from the first frame to the last, strokes take the place of grasps: the tool came down
here, therefore there was something to be done here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.perception.strokes import find_strokes
from trajectories.errors import ConfigError
from trajectories.grasps import Grasp, find_grasps
from trajectories.kinds import began_done
from trajectories.types import Bool, Episode, Float32

SAME_PLACE = 0.015
"""m, as near a hand picks up what lies where it was put, since one thing can be gripped here and there."""
POINT_SIZE = 3
PICK_SIZE = 5
PLACE_SIZE = 3
KEYPOINT_SIZE = PICK_SIZE + PLACE_SIZE


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


NEEDED = ("tip_x", "tip_y", "tip_z", "tip_yaw", "gripper_width", "gripper_command")
"""Proprioception that labels are made of."""


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
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise ConfigError(
                f"The proprioception has no {', '.join(missing)} (it has {', '.join(names)}). "
                "Hindsight keypoints need the tip's position and yaw, the gripper's width and its command; an image "
                "encoder (encoder=clip, cnn, resnet) with encoder.keypoints=false needs none of them."
            )
        x, y, z, yaw, width, command = (names.index(name) for name in NEEDED)
        return cls((x, y, z), yaw, width, command)


def label_keypoints(episode: Episode, names: tuple[str, ...]) -> KeypointLabels:
    """Label every frame of an episode from its own proprioception.

    The pick point is the tip's pose where the fingers next close on an object; while they hold it, the tip itself;
    after the last release, where that happened. After an object slipped out it is unknown until the next grasp. The
    place point is where the gripper last opened around an object, in episodes that succeeded only. Where the episode's
    own direction was done as it began (`asked_both_ways`), it is where the gripper first closed on an object, unless it
    held one from the first frame on.

    With a tool that stays in the gripper, in episodes that succeeded and in play: the pick point is where the tool next
    comes down, and the tip itself while it is down; the place point is where that stroke ends, in episodes that
    succeeded only. Both are unknown after the last stroke.

    What needs an entry of the proprioception that the episode lacks (NaN) is unknown.

    Args:
        episode: Of any task; play too.
        names: Names of the proprioception's entries (`RobotSpec.proprio`).
    """
    index = ProprioIndex.of(names)
    proprio = np.asarray(episode.proprio, dtype=np.float32)
    tip = proprio[:, index.tip]
    double_yaw = 2.0 * proprio[:, index.yaw]
    pose = np.concatenate([tip, np.sin(double_yaw)[:, None], np.cos(double_yaw)[:, None]], axis=1)
    grasps = find_grasps(proprio[:, index.width], proprio[:, index.command])
    succeeded = episode.outcome == "success"
    if grasps == [Grasp(0, len(proprio), released=False)] and episode.outcome != "failure":
        values, mask = _of_strokes(pose, succeeded)
    else:
        values, mask = _of_grasps(pose, grasps, succeeded)
        if grasps and grasps[0].closed > 0 and began_done(episode) == episode.direction:
            values[:, PICK_SIZE:] = pose[grasps[0].closed, :PLACE_SIZE]
            mask[:, PICK_SIZE:] = 1.0
    mask[np.isnan(values)] = 0.0
    return KeypointLabels(np.nan_to_num(values, nan=0.0), mask)


def picked_up_where_left(before: Episode, episode: Episode, names: tuple[str, ...]) -> bool:
    """Whether what an episode first picked up is what another one put down before it, where it did.

    Args:
        before: Whose last release counts.
        episode: Whose first grasp counts, however it ended.
        names: Names of the proprioception's entries.
    """
    index = ProprioIndex.of(names)
    columns = (index.width, index.command)
    put, taken = (find_grasps(*(one.proprio[:, column] for column in columns)) for one in (before, episode))
    if not put or not put[-1].released or not taken:
        return False
    left, found = before.proprio[put[-1].end - 1, index.tip[:2]], episode.proprio[taken[0].closed, index.tip[:2]]
    return bool(np.linalg.norm(found - left) < SAME_PLACE)


def _of_grasps(pose: Float32, grasps: list[Grasp], succeeded: bool) -> tuple[Float32, Float32]:
    """Values and mask of an episode that grasps, from (N, 5) poses of the tip."""
    values, mask = np.zeros((2, len(pose), KEYPOINT_SIZE), dtype=np.float32)
    known_from = 0
    for grasp in grasps:
        values[known_from : grasp.closed, :PICK_SIZE] = pose[grasp.closed]
        values[grasp.closed : grasp.end, :PICK_SIZE] = pose[grasp.closed : grasp.end]
        mask[known_from : grasp.end, :PICK_SIZE] = 1.0
        known_from = grasp.end
    if grasps and grasps[-1].released:
        values[known_from:, :PICK_SIZE] = pose[grasps[-1].end - 1]
        mask[known_from:, :PICK_SIZE] = 1.0
    releases = [grasp.end for grasp in grasps if grasp.released]
    if succeeded and releases:
        values[:, PICK_SIZE:] = pose[releases[-1] - 1, :PLACE_SIZE]
        mask[:, PICK_SIZE:] = 1.0
    return values, mask


def _of_strokes(pose: Float32, succeeded: bool) -> tuple[Float32, Float32]:
    """Values and mask of an episode with a tool that stays in the gripper, from (N, 5) poses of the tip."""
    values, mask = np.zeros((2, len(pose), KEYPOINT_SIZE), dtype=np.float32)
    known_from = 0
    for stroke in find_strokes(pose[:, 2]):
        until = stroke.last + 1
        values[known_from : stroke.down, :PICK_SIZE] = pose[stroke.down]
        values[stroke.down : until, :PICK_SIZE] = pose[stroke.down : until]
        mask[known_from:until, :PICK_SIZE] = 1.0
        if succeeded:
            values[known_from:until, PICK_SIZE:] = pose[stroke.last, :PLACE_SIZE]
            mask[known_from:until, PICK_SIZE:] = 1.0
        known_from = until
    return values, mask
