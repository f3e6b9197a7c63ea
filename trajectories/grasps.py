"""When a gripper held something, and where it picked it up, read off the gap between its fingers and its command."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.types import Episode, Float32, Float64

HELD_WIDTH = 0.002
"""m, fingers that stop further apart than this hold something."""
SETTLED_STEP = 0.0015
"""m per control step, fingers that move less have stopped."""
_PLACE = ("tip_x", "tip_y", "tip_z", "tip_yaw")
_NEEDED = (*_PLACE, "gripper_width", "gripper_command")


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


def picked_up_at(episode: Episode, names: tuple[str, ...]) -> Float64 | None:
    """Where the gripper first closed on an object, float64 (4,): the tip's x, y, z in m and yaw in rad, base frame.

    None where it never did, where it held one from the first frame on, and where the proprioception doesn't say.

    Args:
        episode: However it ended.
        names: Names of the proprioception's entries (`RobotSpec.proprio`).
    """
    if any(name not in names for name in _NEEDED):
        return None
    of = {name: np.asarray(episode.proprio[:, names.index(name)]) for name in _NEEDED}
    grasps = find_grasps(of["gripper_width"], of["gripper_command"])
    if not grasps or grasps[0].closed == 0:
        return None
    place = np.array([of[name][grasps[0].closed] for name in _PLACE], dtype=np.float64)
    return place if bool(np.isfinite(place).all()) else None
