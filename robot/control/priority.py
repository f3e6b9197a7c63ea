"""Raise the scheduling priority of what must be on time, where the system grants it."""

from __future__ import annotations

import os

LOOP = 10
"""Of the arm's control loop, among SCHED_RR's 1 ... 99, and of virtual servos: real ones need no processor."""
SCENE = 5
"""Of what surrounds virtual servos: before other programs, behind the loop."""
_NICE = -10


def raise_priority(realtime: int = LOOP) -> str:
    """Raise the priority of this thread and those that it starts, as far as permitted; returns what it got, in words.

    Ordinary users may when `/etc/security/limits.conf` gives them `rtprio 10` or `nice -10`.

    Args:
        realtime: Wanted, among SCHED_RR's 1 ... 99; larger ones go first.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(realtime))
        return f"SCHED_RR {realtime}"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        return f"nice {_NICE}"
    except OSError:
        return "ordinary (neither rtprio nor a negative nice value is permitted to this user)"
