"""Folders of another machine that this process has copies of: who opens one asks here where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

Files = Mapping[str, bytes]
"""Path below a folder -> content."""
_COPIES: dict[Path, tuple[str, TemporaryDirectory[str]]] = {}


def files_of(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Those files of a folder, which may hold a training, too, hundreds of times larger than what is read of it."""
    return {name: Path(folder, name).read_bytes() for name in names}


def is_carried(folder: Path, digest: str) -> bool:
    """Whether this process has a copy of the folder with these files."""
    return folder in _COPIES and _COPIES[folder][0] == digest


def carry(folder: Path, digest: str, files: Files) -> None:
    """Keep a copy until the process ends, in place of an earlier one.

    Args:
        folder: Where it is on the other machine.
        digest: Of the files, for `is_carried`.
        files: What is in it.
    """
    copy = TemporaryDirectory(prefix="regrasp-")
    for name, content in files.items():
        path = Path(copy.name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _COPIES[folder] = (digest, copy)


def carried(folder: Path) -> Path:
    """Where the folder is for this process: its copy, or, as ever, itself."""
    return Path(_COPIES[folder][1].name) if folder in _COPIES else folder
