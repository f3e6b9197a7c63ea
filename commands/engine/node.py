"""What a process on a node of a cluster does: say what it is, take folders along, do a job."""

from __future__ import annotations

import copy
import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from factory.carried_folders import Files, carry, is_carried
from trajectories.errors import MissingDependencyError, RegraspError

ROOMS = ("trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "commands")
CODE = (".py", ".xml", ".json", ".yaml")
LIBRARIES = ("mujoco", "numpy", "torch")
"""Other versions of these give other numbers."""
_OF_THE_NODE = (OSError, ImportError, MemoryError, MissingDependencyError)
"""What a node raises for what it lacks itself, which the command's machine may have."""


class NodeError(RegraspError):
    """A node of the cluster can't do the work as this machine would."""


@cache
def software() -> dict[str, str]:
    """What numbers depend on: name -> version; of Regrasp with a digest of its files."""
    digest = hashlib.sha256()
    for room in ROOMS:
        folder = Path(str(files(room)))
        for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE):
            digest.update(f"{room}/{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {"regrasp": f"{metadata.version('regrasp')} ({digest.hexdigest()[:12]})"} | versions


def require_same_software(wanted: Mapping[str, str], node: str) -> None:
    """Refuse to work with other versions than the command's.

    Args:
        wanted: `software` of the command.
        node: Name of this one.

    Raises:
        NodeError: With the first that differs.
    """
    for name, version in software().items():
        if version != wanted[name]:
            raise NodeError(
                f"Node {node} of the cluster has {name} {version}, and this command {wanted[name]}: their results "
                "would differ. Install the same there, or leave engine=ray out."
            )


@dataclass(frozen=True)
class Parcel:
    """A folder on its way.

    Attributes:
        folder: Where it is on the command's machine.
        digest: Of its files.
        fetch: Gives the files.
    """

    folder: Path
    digest: str
    fetch: Callable[[], Files]


def do(function: Callable[[Any], Any], job: Any, wanted: Mapping[str, str], parcels: Sequence[Parcel]) -> Any:
    """Do a job in this process.

    Raises:
        NodeError: This node has other software, its disk or memory refuses, it lacks what the job needs, or the job
            raised what can't be sent back.
    """
    require_same_software(wanted, platform.node())
    try:
        for parcel in parcels:
            if not is_carried(parcel.folder, parcel.digest):
                carry(parcel.folder, parcel.digest, parcel.fetch())
        return function(job)
    except Exception as error:
        if isinstance(error, _OF_THE_NODE) or not _can_be_sent(error):
            raise NodeError(f"Node {platform.node()} of the cluster: {_in_words(error)}") from error
        raise


def _can_be_sent(error: Exception) -> bool:
    """Whether another process would get this error: some can't be taken apart and made again."""
    try:
        copy.deepcopy(error)
    except Exception:
        return False
    return True


def _in_words(error: BaseException) -> str:
    return str(error) if isinstance(error, RegraspError) else f"{type(error).__name__}: {error}"
