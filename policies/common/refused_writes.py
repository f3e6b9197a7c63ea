"""Writes on the way that a full disk may refuse: what was there stays, the work goes on, the next write is tried."""

from __future__ import annotations

import time
from collections.abc import Callable

from policies.common.tensor_file import refused_by_disk
from trajectories.disk_full import AGAIN_S, retry_while_disk_is_full
from trajectories.errors import CheckpointError, DiskError
from trajectories.numbers import NS_PER_S

_PAUSE_S = 10.0


class RefusedWrites:
    """Tries writes; after one that the disk refuses it says so once and lets some seconds pass before the next.

    Args:
        notify: Gets a line for people when the disk refuses, and one when it has room again.
        pause_s: Between two attempts.
    """

    def __init__(self, notify: Callable[[str], None], pause_s: float = _PAUSE_S) -> None:
        self._notify, self._pause_ns = notify, int(pause_s * NS_PER_S)
        self._refused_ns: dict[str, int] = {}

    def attempt(self, what: str, write: Callable[[], None]) -> bool:
        """Whether it is written; False where the disk refuses, or has just refused.

        Args:
            what: What is written, for people; each has its own pauses.
            write: Raises CheckpointError or OSError and leaves what was there before.

        Raises:
            CheckpointError: Whatever else keeps it from being written.
        """
        now, refused_ns = time.monotonic_ns(), self._refused_ns.get(what)
        if refused_ns is not None and now - refused_ns < self._pause_ns:
            return False
        try:
            write()
        except (CheckpointError, OSError) as error:
            if not refused_by_disk(error):
                raise
            if refused_ns is None:
                self._notify(f"{error} Learning goes on; {what} is tried again until the disk has room.")
            self._refused_ns[what] = now
            return False
        if self._refused_ns.pop(what, None) is not None:
            self._notify(f"The disk has room again: {what} is written.")
        return True


def wait_for_room(
    write: Callable[[], None],
    notify: Callable[[str], None],
    given_up: Callable[[], bool] = lambda: False,
    *,
    what: str,
    work: str,
    again_s: float = AGAIN_S,
) -> None:
    """Write, and while the disk refuses try again, for a write that raises CheckpointError or OSError.

    Raises:
        CheckpointError: Whatever else keeps it from being written.
        DiskError: It was given up.
    """

    def attempt() -> None:
        try:
            write()
        except (CheckpointError, OSError) as error:
            if refused_by_disk(error):
                raise DiskError(str(error)) from error
            raise

    retry_while_disk_is_full(attempt, notify, given_up, again_s, what, work)
