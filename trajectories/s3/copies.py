"""Copies of episodes from buckets on a disk of this machine, so that a second pass costs what a local store costs.

    episodes/<id>.<digest>.<bytes>/   the files of one episode, as in a store's folder; appears whole, by a rename
    catalogues/<digest>.json          what was last known of an address
    .staging/                         copies that are being written or deleted

The digest is that of the address and of the episode's manifest, so that an episode that changes has another copy. A
copy is verified against its manifest whenever it is read, and what isn't as it should be is deleted: nothing here needs
to outlive a power cut, and everything may be deleted at any time, also by hand.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trajectories.durable import delete_tree
from trajectories.errors import StoreError
from trajectories.manifest import Manifest, read_verified
from trajectories.s3.path import CopySettings

_log = logging.getLogger(__name__)
_PARTS = 32
"""Room is made for this part of the bound at a time."""
_ABANDONED_S = 3600.0
"""Nobody writes one copy for so long."""


class EpisodeCopies:
    """The copies of the episodes of one address.

    Several processes may share the folder, several threads an instance.
    """

    def __init__(self, settings: CopySettings, address: str) -> None:
        """Nothing is read or written yet.

        Args:
            settings: Where, and how much.
            address: Of the store, with its server.
        """
        self._most, self._address = settings.most_bytes, address
        self._episodes, self._staging = settings.folder / "episodes", settings.folder / ".staging"
        self.catalogue = settings.folder / "catalogues" / f"{_digest(address)}.json"
        self._since_ns = time.time_ns()
        self._mutex = threading.Lock()
        self._allowed = 0
        self._full = False

    def has(self, manifest: Manifest) -> bool:
        """Whether there is a copy of an episode, damaged or not."""
        return self._place(manifest).is_dir()

    def read(self, manifest: Manifest) -> dict[str, bytes] | None:
        """The files of an episode, verified; None without a copy of it. A damaged copy is deleted."""
        place = self._place(manifest)
        if not place.is_dir():
            return None
        try:
            files = read_verified(place, manifest)
        except StoreError as error:
            if place.is_dir():  # else another process made room meanwhile
                _log.warning("The copy %s is deleted and fetched anew: %s", place, error)
                self._delete(place)
            return None
        with suppress(OSError):
            _touch(place)
        return files

    def keep(self, manifest: Manifest, files: Mapping[str, bytes]) -> None:
        """Keep a copy, if there is room; a disk that refuses leaves none, with a warning."""
        if not self._has_room(sum(map(len, files.values()))):
            return
        place, staged = self._place(manifest), self._staging / secrets.token_hex(8)
        try:
            for name, content in files.items():
                path = staged / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            _touch(staged)
            self._episodes.mkdir(parents=True, exist_ok=True)
            os.rename(staged, place)
        except OSError as error:
            delete_tree(staged)
            if not place.is_dir():  # else another process was first
                _log.warning("Episode %s is not kept in %s: %s", manifest.info.id, self._episodes, error)
                self._allowed, self._full = 0, True

    def _has_room(self, size: int) -> bool:
        """Whether a copy may be kept. Makes room by deleting those that were used least recently.

        Those that were used since this instance was made stay: a pass over more than there is room for would otherwise
        delete each copy just before it comes to it again.
        """
        with self._mutex:
            if size <= self._allowed:
                self._allowed -= size
                return True
            if self._full or size > self._most:
                return False
            need, copies = max(size, self._most // _PARTS), sorted(self._copies())
            total = sum(bytes_ for _, bytes_, _ in copies)
            for used_ns, bytes_, path in copies:
                if total + need <= self._most or used_ns >= self._since_ns:
                    break
                self._delete(path)
                total -= bytes_
            self._full = total + size > self._most
            self._allowed = max(0, min(need, self._most - total) - size)
            return not self._full

    def _copies(self) -> list[tuple[int, int, Path]]:
        """When each was last used, ns, its bytes, its folder; deletes what killed processes left in the staging."""
        with suppress(OSError):
            for left in self._staging.iterdir():
                if time.time() - left.stat().st_mtime > _ABANDONED_S:
                    delete_tree(left)
        found = []
        with suppress(OSError), os.scandir(self._episodes) as entries:
            for entry in entries:
                size = entry.name.rpartition(".")[2]
                with suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, int(size) if size.isdigit() else 0, Path(entry.path)))
        return found

    def _delete(self, place: Path) -> None:
        """Delete a copy at once, whoever reads it: by a rename, then file by file."""
        staged = self._staging / secrets.token_hex(8)
        with suppress(OSError):
            self._staging.mkdir(parents=True, exist_ok=True)
            os.rename(place, staged)
        delete_tree(staged)

    def _place(self, manifest: Manifest) -> Path:
        size = sum(entry.size for entry in manifest.files.values())
        digest = _digest(self._address, manifest.to_bytes().decode("ascii"))
        return self._episodes / f"{manifest.info.id}.{digest}.{size}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _touch(folder: Path) -> None:
    """Note that a copy was used now, by the clock that `since_ns` is of."""
    now = time.time_ns()
    os.utime(folder, ns=(now, now))
