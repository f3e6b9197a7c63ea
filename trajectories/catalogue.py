"""What a store holds, in one file, so that opening it reads one file instead of thousands.

The catalogue is a copy of the episodes' manifests and may be deleted at any time: what it lacks, or what has changed
since (the time and the number of an episode's folder say so), is read from the episode itself. Only a writer writes it,
when it opens or closes the store. An episode that comes from here has not been looked at yet; its files are verified
byte by byte when it is read, as always.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import replace_file
from trajectories.errors import StoreError
from trajectories.manifest import Manifest

CATALOGUE = ".catalogue.json"
SCHEMA = 1
Mark = tuple[int, int]
"""Time of the last change of an episode's folder, ns, and its number in the file system."""


class Catalogue:
    """The manifests of a store's episodes as a writer last left them."""

    def __init__(self, root: Path) -> None:
        """Read the catalogue of the store in `root`; it is empty where there is none that can be used."""
        self._path, self._episodes = root / CATALOGUE, root / "episodes"
        self._entries: dict[str, tuple[Mark, Manifest]] = {}
        with suppress(OSError, ChecksumError, StoreError, KeyError, TypeError, ValueError):
            content = load_checksummed(self._path.read_bytes())
            if content["schema"] == SCHEMA:
                self._entries = {
                    id: ((mark[0], mark[1]), Manifest.from_content(manifest))
                    for id, (mark, manifest) in content["episodes"].items()
                }
        self._saved = set(self._entries)

    def marks(self) -> dict[str, Mark]:
        """Name -> mark of everything in the folder of the episodes; what another process removes meanwhile is left out.

        Raises:
            OSError: When it can't be listed.
        """
        found: dict[str, Mark] = {}
        with os.scandir(self._episodes) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found[entry.name] = _mark(entry.stat(follow_symlinks=False))
        return found

    def known(self, id: str, mark: Mark) -> Manifest | None:
        """The manifest of an episode whose folder is as it was when it was catalogued; None of any other."""
        entry = self._entries.get(id)
        return entry[1] if entry is not None and entry[0] == mark else None

    def save(self, manifests: Mapping[str, Manifest], changed: set[str]) -> None:
        """Write the catalogue anew if it lacks something; a disk that refuses leaves the one before.

        Args:
            manifests: Of all good episodes.
            changed: Ids of those that were committed, adopted or removed since it was read; emptied.
        """
        if not changed and self._saved == set(manifests):
            return
        changed.clear()
        with suppress(OSError):
            marks = self.marks()
            content = {id: (marks[id], manifest.to_content()) for id, manifest in manifests.items() if id in marks}
            replace_file(self._path, dump_checksummed({"schema": SCHEMA, "episodes": content}))
            self._saved = set(manifests)


def _mark(stat: os.stat_result) -> Mark:
    return stat.st_mtime_ns, stat.st_ino
