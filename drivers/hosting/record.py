"""Where the holds and faults of an arm are recorded, so that they outlive its process and its session."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BY_ID = Path("/dev/serial/by-id")
_PSEUDO = "/dev/pts/"


def device_name(resource: str) -> str:
    """One name for each device, whatever it is called: claims and records are kept under it.

    Serial adapters are known by their name in /dev/serial/by-id, which survives plugging in again, other paths by
    where they lead to.

    Args:
        resource: Path of the arm's port, or another name of what only one process may drive.
    """
    path = Path(resource)
    if not path.is_absolute():
        return resource
    device = os.path.realpath(path)
    names = sorted(link.name for link in _BY_ID.glob("*") if os.path.realpath(link) == device)
    if names:
        return names[0]
    return path.name if path.parent == _BY_ID else device


def record_of(resource: str) -> Path:
    """The record of an arm, one for each device.

    A pseudo-terminal's number is given to others later: its record lies beside the link that leads to it and goes with
    that folder; without a link it belongs to the time at which the terminal was made, too.

    Args:
        resource: See `device_name`.
    """
    name, path = device_name(resource), Path(resource)
    if name.startswith(_PSEUDO):
        beside = path.with_name(f"{path.name}.faults")
        return beside if name != str(path) else _in_state_folder(f"{name} {os.stat(name).st_ctime_ns}")
    return _in_state_folder(name)


def _in_state_folder(name: str) -> Path:
    """A file of this user's state, see the XDG Base Directory Specification."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "regrasp" / "arms" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
