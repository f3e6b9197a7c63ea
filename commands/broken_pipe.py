"""A reader of our output that goes away, as `head` does, ends a command without a traceback."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STATUS = 128 + 13
"""Exit status of a command that SIGPIPE ended."""


@contextmanager
def quiet_when_unread() -> Iterator[None]:
    """End the process quietly when what it prints is no longer read; a broken pipe of any other kind is raised on.

    SIGPIPE itself stays ignored, as Python has it: else a peer that hangs up would kill a process that moves an arm.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _unread(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has a place to go
        sys.exit(STATUS)


def _unread(descriptor: int) -> bool:
    """Whether a descriptor is a pipe or socket without a reader."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
