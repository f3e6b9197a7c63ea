"""Files that are on the disk when a function returns, whole or not at all.

POSIX gives two tools: `fsync` (the bytes of a file, or the names in a folder, are on the disk) and `rename`
within a file system (a name points to the old thing or to the new thing, never to half of it). Everything
that the store promises is built from these functions.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = ".part"
_MODE = 0o644
"""Others may read what is written here; the umask may take that away."""
_ABANDONED_S = 3600.0
"""Nobody writes one file for so long without a pause that shows in its time."""
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
OPEN_FILES = 64  # files written before the first of them is synced; bounds the number of open descriptors


def sync_folder(folder: Path) -> None:
    """Return when the names inside `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Return when everything inside `folder` is on the disk, whoever wrote it."""
    for path in [*folder.rglob("*"), folder]:
        sync_folder(path)  # or a file


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in what the disk refuses inside: a full one says of a write what it is, and not where."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _OF_THE_DISK:
            error.filename = str(path)
        raise


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` with these files in it (relative path with "/" -> bytes), all on the disk on return.

    All files of a batch are written before the first is synced, so that one commit of the file system's
    journal serves many.

    Raises:
        OSError: For example a full disk; the folder may then hold some of the files.
    """
    folder.mkdir(parents=True)
    parents = {folder}
    names = list(files)
    for first in range(0, len(names), OPEN_FILES):
        descriptors: list[int] = []
        try:
            for name in names[first : first + OPEN_FILES]:
                path = folder / name
                if path.parent not in parents:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    parents |= {parent for parent in path.parents if folder in parent.parents}
                descriptors.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
                with naming(path):
                    _write_all(descriptors[-1], files[name])
            with naming(folder):
                for descriptor in descriptors:
                    os.fsync(descriptor)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        sync_folder(parent)


def move(source: Path, target: Path) -> None:
    """Rename within one file system and return when the new name is on the disk.

    An existing file `target` is replaced; an existing folder is refused unless it is empty.
    """
    os.rename(source, target)
    sync_folder(target.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or the next start after a crash, finds the old bytes or the new ones."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            with naming(path):
                _write_all(descriptor, content)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        move(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def append_to_file(path: Path, content: bytes) -> None:
    """Append to a file that is there, on the disk on return: all of it, or none where the disk refuses.

    Raises:
        OSError: For example a full disk; the file is as long as before.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        length = os.fstat(descriptor).st_size
        try:
            with naming(path):
                _write_all(descriptor, content)
                os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, length)
            raise
    finally:
        os.close(descriptor)


def swap_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old bytes or the new ones, without waiting for the disk.

    It outlives processes; a power cut may spoil it. For what is written often, or from a loop that can't wait.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with naming(path):
        partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a file for somebody else to write; on return it has taken the place of `path`, on the disk.

    When what is inside raises, `path` stays as it is. What a killed process left of it an hour or more ago goes.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_PART}"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
    try:
        with naming(path):
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
        move(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def delete_tree(folder: Path) -> None:
    """Delete a folder and everything in it; one that is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
