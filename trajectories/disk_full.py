"""Keeping an episode or a checkpoint when the disk is full: in memory, until there is room or people give it up."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from trajectories.errors import DiskError

AGAIN_S = 2.0
"""Pause between two attempts, s."""
_LOOK_S = 0.05


def refusal(path: Path, id: str, error: OSError) -> str:
    """What to say of an episode that a store could not keep."""
    free = shutil.disk_usage(path).free / 1e6
    return (
        f"Episode {id} could not be stored in {path}: {error.strerror or error} "
        f"({free:.1f} MB free). It does not count as stored; make room."
    )


def retry_while_disk_is_full(
    keep: Callable[[], None],
    notify: Callable[[str], None],
    given_up: Callable[[], bool],
    again_s: float = AGAIN_S,
    what: str = "the episode",
    work: str = "the session",
) -> None:
    """Call `keep` until the disk accepts what it stores.

    Args:
        keep: Stores it, or raises DiskError and leaves nothing.
        notify: Gets a line for people when it has to wait, and one when that is over.
        given_up: Whether somebody ends the work; looked at every 50 ms.
        again_s: Pause between two attempts.
        what: What is stored, for these lines.
        work: What somebody would end to give it up, for these lines.

    Raises:
        DiskError: When it was given up: it is lost then.
    """
    waited = False
    while True:
        try:
            keep()
        except DiskError as error:
            if not waited:
                notify(f"{error} It is kept in memory and tried again every {again_s:.0f} s; ending {work} loses it.")
            waited = True
            until = time.monotonic() + again_s
            while time.monotonic() < until:
                if given_up():
                    raise
                time.sleep(_LOOK_S)
        else:
            if waited:
                notify(f"The disk has room again: {what} is stored.")
            return
