"""Python and the installed packages against the lock file."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from commands.doctor.report import Finding, fail, ok, warn

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
_SET_UP = "Run `bash setup.sh` in the project's folder: it installs what the lock file names."
_OLDEST = (3, 11)
_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(;.*)?")
_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_SHOWN = 6


def check_python() -> Iterator[Finding]:
    """Version of Python."""
    found = f"{platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info[:2] < _OLDEST:
        yield fail(
            "python", found, f"Python {'.'.join(map(str, _OLDEST))} or newer is needed: PYTHON=... bash setup.sh"
        )
    else:
        yield ok("python", found)


def check_packages(lock: Path = LOCK) -> Iterator[Finding]:
    """Versions of all packages.

    Packages that the lock file wants on some systems only are compared where they are installed.
    """
    if not lock.is_file():
        yield ok("packages", "no lock file beside the code (installed as a package): versions not compared")
        return
    needed = _needed()
    missing: list[str] = []
    absent: list[str] = []
    other: list[str] = []
    for name, wanted in locked(lock.read_text(encoding="utf-8")).items():
        have = _version(name)
        if have is None and wanted.everywhere:
            (missing if _plain(name) in needed else absent).append(name)
        elif have is not None and have.split("+")[0] not in wanted.versions:
            other.append(f"{name} {have} instead of {' or '.join(wanted.versions)}")
    if missing:
        yield fail("packages", f"missing: {_some(missing)}", _SET_UP)
    if other or absent:
        found = "; ".join(text for text in (_some(other), absent and f"missing: {_some(absent)}") if text)
        yield warn("packages", f"not as locked: {found}", _SET_UP)
    elif not missing:
        yield ok("packages", "all versions are those of requirements.lock")


class Wanted(NamedTuple):
    """What a lock file says of a package.

    Attributes:
        versions: One, or one for each of several systems and versions of Python.
        everywhere: Whether it is wanted on every system.
    """

    versions: tuple[str, ...]
    everywhere: bool


def locked(text: str) -> dict[str, Wanted]:
    """What a lock file says, by package."""
    found: dict[str, Wanted] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            before = found.get(match[1], Wanted((), False))
            version = match[2].split("+")[0]
            found[match[1]] = Wanted((*before.versions, version), before.everywhere or match[3] is None)
    return found


def _needed() -> set[str]:
    """Packages that the project itself asks for."""
    try:
        rows = metadata.requires("regrasp") or []
    except metadata.PackageNotFoundError:
        return set()
    return {_plain(match[0]) for row in rows if "extra ==" not in row and (match := _NAME.match(row))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
