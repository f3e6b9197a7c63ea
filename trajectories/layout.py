"""Where things lie in a store's folder, and the lock that keeps a second writer out.

store.json          the robot's RobotSpec and the schema, sealed
writer.lock         held by the one writing process; the kernel lets go when it dies
episodes/<id>/      one Zarr group and manifest.json each: whole, or not there
.staging/           commits under way; never acknowledged, so discarded at the next start
quarantine/         damaged episodes, each in a folder with report.json; never deleted
verdicts/           what people said about episodes (`trajectories.verdicts`); there once somebody has
"""

from __future__ import annotations

import os
from pathlib import Path

from trajectories.durable import sync_folder
from trajectories.errors import StoreError
from trajectories.writer_lock import LockedError, lock_file, require_no_writer

HEADER = "store.json"
_LOCK = "writer.lock"
_PARTS = frozenset({HEADER, _LOCK, "episodes", ".staging", "quarantine", "verdicts"})


class Layout:
    """The paths of a store below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.header = root / HEADER
        self.lock = root / _LOCK
        self.episodes = root / "episodes"
        self.staging = root / ".staging"
        self.quarantine = root / "quarantine"

    def create(self) -> None:
        """Make the folders that are missing.

        Raises:
            StoreError: When `root` holds something that is no store, or can't be written.
        """
        file = next((place for place in (self.root, *self.root.parents) if place.exists() and not place.is_dir()), None)
        if file is not None:
            raise StoreError(
                f"{self.root} can't be a trajectory store: {file} is a file. "
                "Give the path of a store, or of a new or empty folder."
            )
        try:
            new = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in new:
                sync_folder(folder.parent)
            foreign = {name for name in os.listdir(self.root) if name not in _PARTS and name[0] != "."}
            if foreign and not self.header.exists():
                raise StoreError(
                    f"{self.root} is no trajectory store: it holds {sorted(foreign)[:5]} and no {HEADER}. "
                    "Give the path of a store, or of a new or empty folder."
                )
            for folder in (self.episodes, self.staging, self.quarantine):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"Can't make a trajectory store in {self.root}: {error}.") from error

    def acquire_lock(self) -> int:
        """Become the one writer; returns the descriptor that holds the lock until it is closed.

        Raises:
            StoreError: When another process, or another open store of this one, is writing.
        """
        try:
            return lock_file(self.lock)
        except LockedError as error:
            raise StoreError(
                f"Another writer (process {error.owner}) has the store {self.root} open. Close it first, or open the "
                "store with read_only=True."
            ) from error


def require_unwritten(*stores: Path, instead: str = "another run_dir") -> None:
    """Refuse to begin a session of which another process already writes a store, before anything is opened.

    Args:
        stores: Folders of stores, which need not exist.
        instead: What may be given in their place, for the message.

    Raises:
        ConfigError: Another process writes into one of them, with its number; for a person.
    """
    for root in stores:
        require_no_writer(root, root / _LOCK, instead)
