"""Where the trajectories are in folders of BridgeData, and what their paths say.

    .../{institution}/{environment}/{task}/{NN}/{date}/raw/traj_group{G}/traj{N}/

Any folder above `traj{N}`, and a trajectory itself, can be given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

TRAJECTORY, GROUP = re.compile(r"traj\d+"), re.compile(r"traj_group\d+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
DATE_FORMAT = "%Y-%m-%d_%H-%M-%S"
_PROMPT_SINCE = datetime(2021, 7, 23)
"""Before that day, the recorder's cameras were one step late (`data_processing/bridgedata_raw_to_numpy.py`)."""
_DEEPEST = 10


def is_trajectory(folder: Path) -> bool:
    """Whether this is `traj_group{G}/traj{N}`, by its name and its parent's."""
    return bool(TRAJECTORY.fullmatch(folder.name) and GROUP.fullmatch(folder.parent.name))


def trajectories(root: Path, depth: int = _DEEPEST) -> Iterator[Path]:
    """All trajectories in a folder, ordered by the numbers in their paths.

    Args:
        root: The folder, absolute; it may be a trajectory.
        depth: Levels below it that are searched.

    Yields:
        Their folders. Folders of other names are searched, hidden ones are not.
    """
    if is_trajectory(root):
        yield root
        return
    if depth == 0:
        return
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    for name in sorted(names, key=_natural):
        yield from trajectories(root / name, depth - 1)


def date_of(folder: Path) -> datetime | None:
    """When a trajectory's run was recorded: the nearest folder above it that is named by a date, None without one."""
    for parent in folder.parents:
        if _DATE.fullmatch(parent.name):
            try:
                return datetime.strptime(parent.name, DATE_FORMAT)
            except ValueError:
                return None
    return None


def run_of(folder: Path) -> Path:
    """The folder of a trajectory's run, in which `config.json` lies: three levels up, above `raw`."""
    return folder.parent.parent.parent


def task_of(folder: Path) -> str | None:
    """The name of the task: the folder above the two-digit one above the date; None in another layout."""
    number = run_of(folder).parent
    return number.parent.name if re.fullmatch(r"\d\d", number.name) else None


def is_late(folder: Path) -> bool:
    """Whether a trajectory's images and states are those of one step before."""
    date = date_of(folder)
    return date is not None and date < _PROMPT_SINCE


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))
