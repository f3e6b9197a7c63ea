"""Files with secrets: for the eyes of one account."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trajectories.errors import ConfigError


def write_private(path: Path, content: bytes) -> None:
    """Write a new file with mode 600; on return it is on the disk.

    Raises:
        FileExistsError: When there is one already, or a link of that name.
        OSError: When the file can't be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def read_private(path: Path) -> bytes:
    """The content of a file that nobody but this account (and root) can read or write.

    Raises:
        ConfigError: When it belongs to another account, when others may read or write it, or when it is no file.
        OSError: When it can't be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is expected to be a file with a secret, but is none: move it away.")
        if status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                f"{path} holds a secret but belongs to user id {status.st_uid}, expected {os.geteuid()}: that account "
                "knows it. Look who put it there, delete it and make a new one."
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(
                f"{path} holds a secret but other accounts may read or write it (mode "
                f"{stat.S_IMODE(status.st_mode):03o}, expected 600). Make a new one if somebody may have read it; "
                f"otherwise: chmod 600 {path}"
            )
        return file.read()
