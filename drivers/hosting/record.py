"""Where the holds and faults of an arm are recorded, so that they outlive its process and its session."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BY_ID = Path("/dev/serial/by-id")
_PSEUDO = "/dev/pts/"


def record_of(resource: str) -> Path:
    """The record of an arm, one for each device whatever it is called.

    Serial adapters are known by their name in /dev/serial/by-id, which survives plugging in again. A pseudo-terminal's
    number is given to others later: its record lies beside the link that leads to it and goes with that folder; without
    a link it belongs to the time at which the terminal was made, too.

    Args:
        resource: Path of the arm's port, or another name of what only one process may drive.
    """
    path = Path(resource)
    if not path.is_absolute():
        return _in_state_folder(resource)
    device = os.path.realpath(path)
    if path.parent == _BY_ID:
        return _in_state_folder(path.name)
    names = sorted(link.name for link in _BY_ID.glob("*") if os.path.realpath(link) == device)
    if names:
        return _in_state_folder(names[0])
    if device.startswith(_PSEUDO):
        beside = path.with_name(f"{path.name}.faults")
        return beside if device != str(path) else _in_state_folder(f"{device} {os.stat(device).st_ctime_ns}")
    return _in_state_folder(device)


def _in_state_folder(name: str) -> Path:
    """A file of this user's state, see the XDG Base Directory Specification."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "regrasp" / "arms" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
