"""Where the episodes of a store lie, as its reader sees them: folders on a disk here, objects in `trajectories.s3`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from trajectories.catalogue import CATALOGUE, Mark
from trajectories.errors import CorruptEpisodeError
from trajectories.layout import Layout
from trajectories.manifest import MANIFEST, Manifest, check_sizes, read_manifest, read_verified
from trajectories.s3.episodes import S3Episodes
from trajectories.s3.path import S3Path, StorePath


class EpisodeFiles(Protocol):
    """The files of a store's episodes. Nothing here decodes: bytes that aren't as written never get that far."""

    @property
    def catalogue(self) -> Path:
        """File of the store's catalogue."""

    def marks(self, *, known: bool = False) -> dict[str, Mark]:
        """Id -> what changes with the episode, of everything that has been committed.

        Args:
            known: Those of the last call will do where a listing costs.

        Raises:
            OSError, StoreError: When they can't be listed.
        """

    def unfinished(self) -> list[str]:
        """Names of commits that are under way, or were cut off."""

    def has(self, id: str) -> bool:
        """Whether an episode is there, damaged or not, at this moment."""

    def manifests_ahead(self, ids: Sequence[str]) -> None:
        """Be told whose manifests are read next."""

    def manifest(self, id: str) -> Manifest:
        """The manifest of an episode; errors as `read_manifest`."""

    def check_sizes(self, manifest: Manifest) -> None:
        """See `manifest.check_sizes`."""

    def read(self, manifest: Manifest, index: Mapping[str, Manifest]) -> dict[str, bytes]:
        """All files of an episode, verified byte by byte.

        Args:
            manifest: Of the episode.
            index: Those of all episodes by id: a pass in order of the ids reads the next ones next.

        Raises:
            CorruptEpisodeError: One is missing or damaged, or the manifest is another by now.
            StoreError: They can't be read.
        """

    def verify(self, manifest: Manifest, index: Mapping[str, Manifest]) -> None:
        """Compare every byte that the store itself holds, whatever copies there are; arguments and errors as `read`."""


class EpisodeFolders:
    """Episodes on a disk: a folder each."""

    def __init__(self, root: Path) -> None:
        """Those of the store in the folder `root`."""
        self.catalogue = root / CATALOGUE
        self._episodes, self._staging = Layout(root).episodes, Layout(root).staging

    def marks(self, *, known: bool = False) -> dict[str, Mark]:
        """Time of the last change of the folder, ns, and its number in the file system.

        What another process removes meanwhile is left out.
        """
        found: dict[str, Mark] = {}
        with os.scandir(self._episodes) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    found[entry.name] = (stat.st_mtime_ns, stat.st_ino)
        return found

    def unfinished(self) -> list[str]:
        """See `EpisodeFiles`; removals, too."""
        return sorted(os.listdir(self._staging)) if self._staging.is_dir() else []

    def has(self, id: str) -> bool:
        """See `EpisodeFiles`."""
        return os.path.lexists(self._episodes / id)

    def manifests_ahead(self, ids: Sequence[str]) -> None:
        """A disk answers at once."""

    def manifest(self, id: str) -> Manifest:
        """See `EpisodeFiles`."""
        return read_manifest(self._episodes / id)

    def check_sizes(self, manifest: Manifest) -> None:
        """See `EpisodeFiles`."""
        folder = self._episodes / manifest.info.id
        check_sizes(manifest, lambda name: (folder / name).stat().st_size)

    def read(self, manifest: Manifest, index: Mapping[str, Manifest]) -> dict[str, bytes]:
        """See `EpisodeFiles`."""
        folder = self._episodes / manifest.info.id
        if read_manifest(folder) != manifest:
            raise CorruptEpisodeError(f"{MANIFEST} has been replaced since the store was opened")
        return read_verified(folder, manifest)

    def verify(self, manifest: Manifest, index: Mapping[str, Manifest]) -> None:
        """See `EpisodeFiles`."""
        self.read(manifest, index)


def open_files(path: StorePath) -> EpisodeFiles:
    """The files of the store at `path`, which need not exist.

    Raises:
        ConfigError, MissingDependencyError: See `S3Path.connection`.
    """
    return S3Episodes(path) if isinstance(path, S3Path) else EpisodeFolders(path)
