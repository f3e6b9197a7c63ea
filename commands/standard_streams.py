"""Standard streams on which long work can rely: they are open, and a full disk below a log doesn't end what prints."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STATUS = 1
"""Exit status of a command that did its work and could not print all of it."""
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LossyFile(io.FileIO):
    """A file descriptor whose writes are dropped when the disk or the terminal refuses them.

    Attributes:
        refused: Why the first one was; None so far.
    """

    refused: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write or drop; returns the number of bytes that need not be written again."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self.refused = self.refused or error
            return memoryview(data).nbytes


def open_missing_descriptors() -> None:
    """Let 0, 1 and 2 lead nowhere where the command was started without them (`>&-`, some service managers).

    Else the next file that is opened, a serial port or a store, would be what libraries print their warnings to.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Print through `LossyFile`s: line by line, escaping characters that a terminal lacks.

    A person who doesn't see a line is better than an arm whose session died of it. At the end the command says that
    lines were lost, on the other stream where that can be, and exits with `STATUS` unless it ends in another way.
    """
    open_missing_descriptors()
    before, files = (sys.stdout, sys.stderr), (LossyFile(1, "wb", closefd=False), LossyFile(2, "wb", closefd=False))
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(file), getattr(old, "encoding", "utf-8"), "backslashreplace", line_buffering=True
        )
        for old, file in zip(before, files, strict=True)
    )
    try:
        yield
        refused = next((file.refused for file in files if file.refused is not None), None)
        if refused is not None:
            print(f"regrasp: not all of the output could be written: {refused.strerror}.", file=sys.stderr)
            sys.exit(STATUS)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        sys.stdout, sys.stderr = before
