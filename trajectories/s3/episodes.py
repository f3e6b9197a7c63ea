"""Episodes in a bucket: the same files under the same names as on a disk, and copies of them on this machine's.

An episode is there once its manifest is, which an upload writes last (`trajectories.s3.upload`); before, a reader sees
an upload under way. One listing tells what there is and how large every object is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from heapq import nsmallest
from itertools import islice
from pathlib import Path

from trajectories.catalogue import Mark
from trajectories.errors import CorruptEpisodeError
from trajectories.manifest import MANIFEST, Manifest, check_sizes, manifest_of, read_file, verified
from trajectories.s3.connection import answer
from trajectories.s3.copies import EpisodeCopies
from trajectories.s3.path import S3Path

EPISODES = "episodes"
AHEAD = 2
"""Episodes that are fetched ahead in a pass in order."""
MANIFESTS_AHEAD = 64
"""Manifests that are fetched ahead when a store is opened."""


class S3Episodes:
    """The episodes of a store in a bucket; see `EpisodeFiles`. May be used by several threads."""

    def __init__(self, root: S3Path) -> None:
        """Those of the store at the address `root`."""
        self._episodes = root / EPISODES
        self._copies = EpisodeCopies(root.copies, f"{root.connection.server} {root}")
        self._sizes: dict[str, dict[str, int]] = {}
        self._marks: dict[str, Mark] = {}
        self._coming: Iterator[str] = iter(())
        self._manifests: dict[str, Future[bytes]] = {}
        self._mutex = threading.Lock()
        self._fetching: dict[str, dict[str, Future[bytes]]] = {}
        self._expected: frozenset[str] = frozenset()

    @property
    def catalogue(self) -> Path:
        """See `EpisodeFiles`; on this machine's disk."""
        return self._copies.catalogue

    def marks(self, *, known: bool = False) -> dict[str, Mark]:
        """Bytes of all objects, and the ETag of the manifest."""
        if not known:
            self._sizes, manifests = {}, {}
            for key, found in self._episodes.objects().items():
                id, _, name = key.partition("/")
                self._sizes.setdefault(id, {})[name] = found.size
                if name == MANIFEST:
                    manifests[id] = found.mark
            self._marks = {id: (sum(self._sizes[id].values()), mark) for id, mark in manifests.items()}
        return dict(self._marks)

    def unfinished(self) -> list[str]:
        """See `EpisodeFiles`; as of the last listing."""
        return sorted(self._sizes.keys() - self._marks.keys())

    def has(self, id: str) -> bool:
        """See `EpisodeFiles`."""
        return (self._episodes / id / MANIFEST).exists()

    def manifests_ahead(self, ids: Sequence[str]) -> None:
        """See `EpisodeFiles`; they are fetched many at once."""
        self._coming, self._manifests = iter(ids), {}
        self._fetch_manifests()

    def manifest(self, id: str) -> Manifest:
        """See `EpisodeFiles`."""
        folder = self._episodes / id
        fetching = self._manifests.pop(id, None)
        self._fetch_manifests()
        return manifest_of(read_file(folder, MANIFEST, partial(answer, fetching) if fetching else None), id)

    def check_sizes(self, manifest: Manifest) -> None:
        """See `EpisodeFiles`; by the last listing."""
        sizes = self._sizes.get(manifest.info.id, {})

        def size_of(name: str) -> int:
            if name not in sizes:
                raise FileNotFoundError(2, "there is no such object", name)
            return sizes[name]

        check_sizes(manifest, size_of)

    def read(self, manifest: Manifest, index: Mapping[str, Manifest]) -> dict[str, bytes]:
        """See `EpisodeFiles`; the copy, where there is one, else the objects, of which a copy is kept."""
        files = self._copies.read(manifest)
        if files is None:
            files = self._fetched(manifest, index)
            self._copies.keep(manifest, files)
        return files

    def verify(self, manifest: Manifest, index: Mapping[str, Manifest]) -> None:
        """See `EpisodeFiles`; the objects, of which a copy is kept."""
        files = self._fetched(manifest, index, beside_copies=True)
        if not self._copies.has(manifest):
            self._copies.keep(manifest, files)

    def _fetched(
        self, manifest: Manifest, index: Mapping[str, Manifest], beside_copies: bool = False
    ) -> dict[str, bytes]:
        """The objects of an episode, verified; in a pass in order those of the next ones are on their way meanwhile.

        With `beside_copies` also of those that there are copies of.
        """
        id = manifest.info.id
        with self._mutex:
            mine = self._fetching.pop(id, None) or self._fetch(manifest)
            coming = [index[next] for next in nsmallest(AHEAD, (other for other in list(index) if other > id))]
            wanted = coming if id in self._expected else []
            self._expected = frozenset(next.info.id for next in coming)
            self._fetching = {
                next.info.id: self._fetching.get(next.info.id) or self._fetch(next)
                for next in wanted
                if beside_copies or not self._copies.has(next)
            }
        folder = self._episodes / id
        if manifest_of(read_file(folder, MANIFEST, partial(answer, mine[MANIFEST])), id) != manifest:
            raise CorruptEpisodeError(f"{MANIFEST} has been replaced since the store was opened")
        return verified(manifest, lambda name: read_file(folder, name, partial(answer, mine[name])))

    def _fetch(self, manifest: Manifest) -> dict[str, Future[bytes]]:
        folder = self._episodes / manifest.info.id
        return {name: (folder / name).begin_reading() for name in (MANIFEST, *manifest.files)}

    def _fetch_manifests(self) -> None:
        for id in islice(self._coming, MANIFESTS_AHEAD - len(self._manifests)):
            self._manifests[id] = (self._episodes / id / MANIFEST).begin_reading()
