"""Jobs that processes of a cluster do in tests."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

from factory.carried_folders import carried
from trajectories.errors import ConfigError


def doubled(job):
    return 2 * job


def refused(job):
    raise ConfigError(f"{job} is refused")


def broken(job):
    raise ZeroDivisionError(job)


class OfTwoParts(Exception):
    """Can't be made of its message alone, as which it would be sent."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


def unsendable(job):
    raise OfTwoParts(job, "broken")


def locked(job):
    error = ValueError(job)
    error.lock = threading.Lock()
    raise error


def full(job):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(job):
    """Ends its process at the first try."""
    path = Path(job)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def noted(job):
    """Leaves its process number in a file and takes its time."""
    path, seconds = job
    Path(path).with_suffix(f".{os.getpid()}").touch()
    time.sleep(seconds)
    return os.environ.get("RAY_RAYLET_PID", "")


def read(job):
    folder, name = job
    return carried(Path(folder)) / name, (carried(Path(folder)) / name).read_bytes()
