"""Which frames of an episode show success, which do not, and which nobody can say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trajectories.errors import ConfigError

SUCCESS, OTHER, UNKNOWN = 1, 0, -1


def label_aftermath(length: int, outcome: str) -> NDArray[np.int8]:
    """Labels of an episode in which the arm only looks at what it left (`trajectories.kinds.AFTERMATH`).

    Args:
        length: Number of steps T.
        outcome: "success" where the task is done, "failure" where it isn't.

    Returns:
        int8 (T + 1,), all alike.

    Raises:
        ConfigError: For another outcome.
    """
    if outcome not in ("success", "failure"):
        raise ConfigError(f"Can't label what was left with outcome={outcome!r}: expected 'success' or 'failure'.")
    return np.full(length + 1, SUCCESS if outcome == "success" else OTHER, dtype=np.int8)


def label_missed(length: int, success_frames: int = 3) -> NDArray[np.int8]:
    """Labels of the T + 1 observations of a success that its judge missed, and a person or the look from home saw.

    When it was done nobody said, so only the last `success_frames` are labelled.

    Args:
        length: Number of steps T.
        success_frames: Positive frames at the end.

    Returns:
        int8 (T + 1,): 1 success, -1 unknown.
    """
    labels = np.full(length + 1, UNKNOWN, dtype=np.int8)
    labels[-success_frames:] = SUCCESS
    return labels


def label_frames(
    length: int,
    outcome: str,
    success_frames: int = 3,
    gap: int = 4,
    *,
    missed: bool = False,
    counts: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Labels of the T + 1 observations of an episode under its own instruction.

    The last `success_frames` of a success are positive, as in RoboFuME; the `gap` frames before them are
    left out, because the task may already have been done there, and so are all since the gripper last let go: from
    then on nothing more was done, and when it came to rest, or a person said so, is another matter. All earlier ones
    are negative, as is every frame of a failure. Episodes of unknown outcome teach nothing.

    Args:
        length: Number of steps T.
        outcome: "success", "failure" or "unknown".
        success_frames: Positive frames at the end of a success.
        gap: Frames before those that are left out.
        missed: Whether the episode's judge had not seen the success happen; see `label_missed`.
        counts: bool (T + 1,) whether each frame may count towards done, which it can't with the gripper closed; None
            where nobody knows.

    Returns:
        int8 (T + 1,): 1 success, 0 other, -1 unknown.

    Raises:
        ConfigError: For another outcome or a negative count.
    """
    if outcome not in ("success", "failure", "unknown") or success_frames < 1 or gap < 0:
        raise ConfigError(
            f"Can't label frames with outcome={outcome!r}, success_frames={success_frames}, gap={gap}: "
            f"expected "
            "'success', 'failure' or 'unknown', at least one success frame and no negative gap."
        )
    if missed and outcome == "success":
        return label_missed(length, success_frames)
    labels = np.full(length + 1, UNKNOWN, dtype=np.int8)
    if outcome == "failure":
        labels[:] = OTHER
    elif outcome == "success":
        surely = max(length + 1 - success_frames - gap, 0)
        if counts is not None and not counts.all():
            surely = min(surely, int(np.flatnonzero(~counts)[-1]) + 1)
        labels[:surely] = OTHER
        labels[-success_frames:] = SUCCESS
    return labels
