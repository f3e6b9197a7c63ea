"""One writer at a time, whatever ends the process that writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trajectories.errors import ConfigError

_INSTEAD = "another run_dir"


class LockedError(Exception):
    """Somebody else holds a lock.

    Attributes:
        owner: Number of that process, or "unknown".
    """

    def __init__(self, owner: str) -> None:
        super().__init__(f"process {owner} holds the lock")
        self.owner = owner


def lock_file(path: Path) -> int:
    """Lock a file, which is made where it isn't there; returns the descriptor that holds the lock until it is closed.

    Raises:
        LockedError: Another process, or another descriptor of this one, holds it.
        OSError: The file can't be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise LockedError(owner) from error
    with contextlib.suppress(OSError):  # the number only serves messages; a full disk may refuse it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return descriptor


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only process that writes into `folder`; the lock lies beside it and is freed when the process ends.

    Raises:
        ConfigError: When another process writes there, with its number.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = lock_file(_lock_beside(folder))
    except LockedError as error:
        raise _taken(folder, error) from error
    try:
        yield
    finally:
        os.close(descriptor)


def require_no_writer(folder: Path, lock: Path | None = None, instead: str = _INSTEAD) -> None:
    """Refuse to begin where another process writes into `folder`; an early word that leaves everything as it is.

    Args:
        folder: Need not exist.
        lock: The file that its writer locks; None for that of `only_writer`.
        instead: What may be given in its place, for the message.

    Raises:
        ConfigError: When another process writes there, with its number.
    """
    lock = lock or _lock_beside(folder)
    if not lock.is_file():
        return  # nobody ever did
    with contextlib.suppress(OSError):  # whoever opens the file for writing says why that can't be
        try:
            os.close(lock_file(lock))
        except LockedError as error:
            raise _taken(folder, error, instead) from error


def _lock_beside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def _taken(folder: Path, error: LockedError, instead: str = _INSTEAD) -> ConfigError:
    return ConfigError(
        f"A command already runs in {folder} (process {error.owner}): wait for its end, end it, or give {instead}."
    )
