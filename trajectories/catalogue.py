"""What a store holds, in one file, so that opening it reads one file instead of thousands.

The catalogue is a copy of the episodes' manifests and may be deleted at any time: what it lacks, or what has changed
since (an episode's mark says so), is read from the episode itself. Only a writer writes it, when it opens or closes the
store; that of a store in a bucket lies on the reader's disk, and the reader writes it. An episode that comes from here
has not been looked at yet; its files are verified byte by byte when it is read, as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import replace_file
from trajectories.errors import StoreError
from trajectories.manifest import Manifest

CATALOGUE = ".catalogue.json"
SCHEMA = 1
Mark = tuple[int, int | str]
"""What changes with an episode: see `EpisodeFolders.marks` and `S3Episodes.marks`."""


class Catalogue:
    """The manifests of a store's episodes as a writer last left them."""

    def __init__(self, path: Path) -> None:
        """Read the catalogue from its file; it is empty where there is none that can be used."""
        self._path = path
        self._entries: dict[str, tuple[Mark, Manifest]] = {}
        with suppress(OSError, ChecksumError, StoreError, KeyError, TypeError, ValueError):
            content = load_checksummed(self._path.read_bytes())
            if content["schema"] == SCHEMA:
                self._entries = {
                    id: ((mark[0], mark[1]), Manifest.from_content(manifest))
                    for id, (mark, manifest) in content["episodes"].items()
                }
        self._saved = set(self._entries)

    def known(self, id: str, mark: Mark) -> Manifest | None:
        """The manifest of an episode whose mark is as it was when it was catalogued; None of any other."""
        entry = self._entries.get(id)
        return entry[1] if entry is not None and entry[0] == mark else None

    def save(
        self, manifests: Mapping[str, Manifest], changed: set[str], marks: Callable[[], Mapping[str, Mark]]
    ) -> None:
        """Write the catalogue anew if it lacks something; a disk that refuses leaves the one before.

        Args:
            manifests: Of all good episodes.
            changed: Ids of those that were committed, adopted or removed since it was read; emptied.
            marks: Gives the marks of all episodes, as they are now.
        """
        if not changed and self._saved == set(manifests):
            return
        changed.clear()
        with suppress(OSError):
            now = marks()
            content = {id: (now[id], manifest.to_content()) for id, manifest in manifests.items() if id in now}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, dump_checksummed({"schema": SCHEMA, "episodes": content}))
            self._saved = set(manifests)
