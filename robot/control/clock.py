"""Implement `robot.interfaces.Clock` with the system's monotonic clock."""

from __future__ import annotations

import time

from trajectories.numbers import NS_PER_S


class WallClock:
    """The computer's monotonic clock; sleeping costs no processor time."""

    def now_ns(self) -> int:
        """Monotonic ns."""
        return time.monotonic_ns()

    def sleep_until_ns(self, t_ns: int) -> None:
        """Return at `t_ns`, or at once if that is past."""
        left = t_ns - time.monotonic_ns()
        if left > 0:
            time.sleep(left / NS_PER_S)
