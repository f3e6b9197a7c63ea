"""A place before others on the processor for the control loop, where the system grants one."""

from __future__ import annotations

import os

_REALTIME = 10
_NICE = -10


def raise_priority() -> str:
    """Raise the priority of this thread and those that it starts, as far as permitted; returns what it got, in words.

    Ordinary users may when `/etc/security/limits.conf` gives them `rtprio 10` or `nice -10`.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REALTIME))
        return f"SCHED_RR {_REALTIME}"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        return f"nice {_NICE}"
    except OSError:
        return "ordinary (neither rtprio nor a negative nice value is permitted to this user)"
