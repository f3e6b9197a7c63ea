"""Data sets that appear under their final name whole or not at all, whether they are a file or a folder."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from pathlib import Path

from trajectories.durable import move, sync_folder
from trajectories.formats.foreign import FormatError

_PART = ".partial"


class Staged:
    """A place beside the final one, where a data set is written until `commit` gives it its name.

    Attributes:
        path: Where to write: neither a file nor a folder yet; make the one that is needed.
        final: Where it will be.
    """

    def __init__(self, final: Path) -> None:
        """Prepare to write `final`, whose parent folder is made; what killed exports to it left is removed.

        Raises:
            FormatError: Something is there already, or the folder can't be made.
        """
        self.final = Path(os.path.abspath(final))
        if os.path.lexists(self.final):
            raise FormatError(f"{final} exists already; nothing is overwritten. Remove it or give another place.")
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FormatError(f"{self.final.parent} can't be made: {error}.") from error
        for left in self.final.parent.glob(f".{glob.escape(self.final.name)}.*{_PART}"):
            _remove(left)
        self.path = self.final.with_name(f".{self.final.name}.{secrets.token_hex(4)}{_PART}")

    def commit(self) -> None:
        """Give it the final name; on return everything is on the disk.

        Raises:
            FormatError: The disk refuses, or something has appeared at the final place meanwhile.
        """
        try:
            _sync(self.path)
            if os.path.lexists(self.final):
                raise FormatError(f"{self.final} has appeared meanwhile; {self.path} holds what was written.")
            move(self.path, self.final)
        except OSError as error:
            raise FormatError(f"{self.final} can't be written: {error}. Make room or check the permissions.") from error

    def discard(self) -> None:
        """Remove what was written; after `commit` there is nothing to remove."""
        _remove(self.path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Return when a file, or everything below a folder, is on the disk."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            _sync_file(Path(folder) / name)
        sync_folder(Path(folder))
    if path.is_file():
        _sync_file(path)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
