"""The error of data set files."""

import errno

from trajectories.errors import RegraspError


class DatasetError(RegraspError):
    """A data set file can't be read, lacks something, or wasn't made for the environment at hand."""


def unreadable(where: str, kind: str, error: Exception) -> str:
    """The message for a file that a library can't read.

    Args:
        where: The file, and the place in it.
        kind: What it should be.
        error: From the library. HDF5 refuses to open what another process has open for writing.
    """
    if getattr(error, "errno", None) in (errno.EAGAIN, errno.EACCES) and "lock" in str(error):
        return f"{where} is in use: another program has it open for writing. Close it there, then try again."
    reason = f"{type(error).__name__}: {error}".rstrip(".")
    return f"{where} can't be read as {kind} ({reason}). It is damaged or cut short: copy, download or record it again."
