"""The trajectory store: an episode is in it whole or not at all, whatever is killed and whenever.

A commit writes the files of an episode to a staging folder, syncs them, and only then gives the folder its
name, so there is no moment at which a kill, a full disk or a power cut leaves a part of an episode under
`episodes/`. Every byte is covered by a digest in the episode's manifest, and the manifest by its own: damage
raises and is put aside with a report; it never reads as data. `trajectories.layout` shows the folders.

    with TrajectoryStore("data/demos", spec) as store:
        store.commit(episode)            # on the disk when this returns; the same id again changes nothing
        for id in store.ids():           # in order of creation
            episode = store.read(id)     # verified byte by byte

A store in a bucket (`trajectories.s3`) is read alike: `TrajectoryStore("s3://lab/demos", read_only=True)`.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from trajectories.catalogue import Catalogue
from trajectories.checks import check_episode
from trajectories.disk_full import refusal
from trajectories.durable import delete_tree, move, sync_folder, write_tree
from trajectories.episode_files import open_files
from trajectories.episode_zarr import decode, encode
from trajectories.errors import CorruptEpisodeError, DiskError, ForeignEpisodeError, StoreError
from trajectories.header import settle_spec
from trajectories.layout import HEADER, Layout
from trajectories.manifest import MANIFEST, EpisodeInfo, Manifest, describe, foreign_episode, require_spec
from trajectories.quarantine import Damaged, Recovery, Restored, bring_back, chosen, list_quarantine, put_aside
from trajectories.s3.path import ELSEWHERE, S3Path, StorePath, store_path
from trajectories.types import Episode, RobotSpec


class TrajectoryStore:
    """Episodes on disk. One writer at a time; any number of readers (`read_only=True`), also while it writes.

    Methods may be called from several threads.
    """

    def __init__(self, path: str | StorePath, spec: RobotSpec | None = None, *, read_only: bool = False) -> None:
        """Open a store, or create it.

        Opening for writing discards unfinished commits and moves new episodes aside whose files are missing or
        have the wrong size; `recovered` says what was found. Episodes that the catalogue knows are verified when they
        are read. Opening for reading changes nothing on the disk.

        Args:
            path: Folder of the store; or its address in a bucket, where it can only be read.
            spec: The robot's specification; None takes that of a store that exists.
            read_only: Open beside a writer; commits of the writer show after `refresh`.

        Raises:
            SpecMismatchError: When the store was made for another `RobotSpec`.
            ForeignEpisodeError: When another version of Regrasp or another robot recorded one of its episodes.
            StoreError: When the path is no store, can't be read or written, or has another writer.
        """
        self.path: StorePath = store_path(path)
        self.read_only = read_only
        self._root = None if isinstance(self.path, S3Path) else Layout(self.path)
        self._index: dict[str, Manifest] = {}
        self._changed, self._opened, self._recovered = set[str](), False, Recovery()
        self._mutex = threading.RLock()
        self._release: weakref.finalize | None = None
        layout = None if read_only else self._layout
        self._files = open_files(self.path)
        self._catalogue = Catalogue(self._files.catalogue)
        if spec is None and not (self.path / HEADER).exists():
            raise StoreError(
                f"There is no trajectory store in {self.path}. `regrasp demo`, `collect` and `teleop` make one "
                "(in code: state its RobotSpec), `regrasp export` copies one to a bucket."
            )
        try:
            if layout is not None:
                layout.create()
                self._release = weakref.finalize(self, os.close, layout.acquire_lock())
            stored, note = settle_spec(self.path, spec, layout)
            self.spec, self._spec_digest = stored.spec, stored.digest
            if note:
                self._recovered = replace(self._recovered, notes=(note,))
            if layout is not None:
                self._recovered = replace(self._recovered, discarded=tuple(self.staged()))
                for name in self._recovered.discarded:
                    delete_tree(layout.staging / name)
                sync_folder(layout.episodes)  # a commit killed before its last sync is adopted below
            self.refresh()
            self._opened = True
            if self._root is None or (not read_only and 10 * len(self._changed) > len(self._index)):
                self._catalogue.save(self._index, self._changed, partial(self._files.marks, known=True))
        except OSError as error:
            self.close()
            raise StoreError(f"The trajectory store {self.path} can't be opened: {error}.") from error
        except BaseException:
            self.close()
            raise

    # -- reading --

    @property
    def recovered(self) -> Recovery:
        """What was discarded or put aside since this store was opened."""
        return self._recovered

    def quarantined(self) -> list[Damaged]:
        """Everything that lies in the quarantine, from this and earlier runs."""
        return list_quarantine(self._root.quarantine) if self._root else []

    def staged(self) -> list[str]:
        """Names of commits and removals that are under way, or were cut off since the last writer opened."""
        return self._files.unfinished()

    @property
    def bytes_on_disk(self) -> int:
        """Sizes of all files of all good episodes, as their manifests state them."""
        with self._mutex:
            return sum(entry.size for manifest in self._index.values() for entry in manifest.files.values())

    def ids(self) -> list[str]:
        """Ids of all good episodes in order of creation."""
        with self._mutex:
            return sorted(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        return id in self._index

    def manifest(self, id: str) -> Manifest:
        """What an episode consists of, file by file.

        Raises:
            StoreError: When there is no such episode.
        """
        manifest = self._index.get(id)
        if manifest is None:
            raise StoreError(f"There is no episode {id!r} among the {len(self)} of {self.path}.")
        return manifest

    def info(self, id: str) -> EpisodeInfo:
        """What is known of an episode without reading its columns; touches no disk.

        Raises:
            StoreError: When there is no such episode.
        """
        return self.manifest(id).info

    def infos(self) -> list[EpisodeInfo]:
        """The infos of all good episodes in order of creation."""
        with self._mutex:
            return [self._index[id].info for id in sorted(self._index)]

    def files(self, id: str) -> dict[str, bytes]:
        """The files of an episode but for its manifest, verified byte by byte.

        Raises:
            CorruptEpisodeError: When a byte is not as written; a writer also moves the episode aside.
            StoreError: When there is no such episode.
        """
        try:
            return self._files.read(self.manifest(id), self._index)
        except CorruptEpisodeError as error:
            if self.read_only and not self._files.has(id):
                self._index.pop(id, None)
                raise StoreError(f"Episode {id} has been removed from {self.path} by its writer.") from error
            damaged = self._exclude(id, str(error))
            raise CorruptEpisodeError(f"Damaged episode in {self.path}: {damaged}") from error

    def read(self, id: str) -> Episode:
        """A whole episode; errors as `files`, and StoreError when this software can't decode it."""
        manifest, files = self.manifest(id), self.files(id)
        try:
            return decode(files, manifest.info.to_dict(), self.spec)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise StoreError(
                f"Episode {id} in {self.path} is undamaged but can't be decoded ({error}); it was written "
                f"with {dict(manifest.versions)}. Read it with these versions."
            ) from error

    def verify(self, progress: Callable[[int, int], None] | None = None) -> tuple[Damaged, ...]:
        """Compare every byte of every episode with its manifest; returns the episodes that failed.

        A writer moves them aside, a reader leaves them; neither uses them any more. `progress` is called with the
        number of episodes that are done and that of all.
        """
        found, ids = [], self.ids()
        for done, id in enumerate(ids, 1):
            manifest = self._index.get(id)
            try:
                if manifest is not None:
                    self._files.verify(manifest, self._index)
            except CorruptEpisodeError as error:
                if not self.read_only or self._files.has(id):
                    found.append(self._exclude(id, str(error)))
            if progress is not None:
                progress(done, len(ids))
        return tuple(found)

    def refresh(self) -> None:
        """See what the writer has committed or removed since.

        Of new episodes that the catalogue doesn't know the manifest and the sizes of the files are checked.

        Raises:
            ForeignEpisodeError: When another version of Regrasp or another robot recorded one of them.
            StoreError: When the folder can't be listed.
        """
        try:
            marks = self._files.marks()
        except OSError as error:
            raise StoreError(f"The trajectory store {self.path} can't be listed: {error}.") from error
        with self._mutex:
            for gone in self._index.keys() - marks.keys():
                del self._index[gone]
            known = self._index.keys() | {damaged.id for damaged in self._recovered.damaged}
            new = {name: self._catalogue.known(name, marks[name]) for name in sorted(marks.keys() - known)}
            self._files.manifests_ahead([name for name, catalogued in new.items() if catalogued is None])
            for name, catalogued in new.items():
                self._adopt(name, catalogued)

    # -- writing --

    def commit(self, episode: Episode) -> None:
        """Store an episode; it is on the disk when this returns. The same episode again changes nothing.

        Raises:
            InvalidEpisodeError: When the episode is malformed or doesn't fit the store's `RobotSpec`.
            StoreError: When another episode with this id is in the store.
            DiskError: When the disk refuses. A refused episode doesn't count; only if the very last sync fails
                may it be there, whole, at the next start, and then a second commit changes nothing.
        """
        self._require_writer()
        check_episode(episode, self.spec)
        info = describe(episode)
        with self._mutex:
            if self._has(info):
                return
            files = encode(episode, self.spec, info.to_dict())
            manifest = Manifest.of(info, self._spec_digest, files)
            staged = self._staging_place(info.id)
            try:
                write_tree(staged, {**files, MANIFEST: manifest.to_bytes()})
                self._clear_leftover(info.id)
                move(staged, self._folder(info.id))
            except OSError as error:
                delete_tree(staged)
                raise DiskError(refusal(self._layout.root, info.id, error)) from error
            self._index[info.id] = manifest
            self._changed.add(info.id)

    def remove(self, id: str) -> None:
        """Delete an episode that has arrived elsewhere. For outboxes; data sets only grow.

        Raises:
            StoreError: When there is no such episode or the disk refuses.
        """
        self._require_writer()
        with self._mutex:
            self.manifest(id)
            place = self._staging_place(id)
            try:
                move(self._folder(id), place)
                sync_folder(self._layout.episodes)
            except OSError as error:
                raise StoreError(f"Episode {id} can't be removed from {self.path}: {error}.") from error
            del self._index[id]
            self._changed.add(id)
            delete_tree(place)

    def restore(self, ids: Sequence[str] | None = None) -> Restored:
        """Bring episodes back from the quarantine that are whole after all, byte by byte.

        Args:
            ids: Of those to bring back; None takes all. Of several with one id the newest whole one comes back.

        Raises:
            StoreError: When one of `ids` is not in the quarantine.
        """
        self._require_writer()
        back, refused = [], []
        with self._mutex:
            for entry in chosen(self.quarantined(), ids, self._layout.quarantine):
                try:
                    self._index[entry.id] = bring_back(entry, self._layout.episodes, self._spec_digest)
                    back.append(entry.id)
                    self._changed.add(entry.id)
                except StoreError as error:
                    refused.append(replace(entry, reason=str(error)))
            damaged = tuple(entry for entry in self._recovered.damaged if entry.id not in back)
            self._recovered = replace(self._recovered, damaged=damaged)
        return Restored(tuple(sorted(back)), tuple(refused))

    def close(self) -> None:
        """Let another writer in. Reading stays possible."""
        if self._release is not None and self._release.alive:
            with self._mutex:
                if self._opened:
                    self._catalogue.save(self._index, self._changed, self._files.marks)
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- opening --

    def _adopt(self, name: str, catalogued: Manifest | None) -> None:
        """Take an episode's folder into the index, or put it aside if it is damaged.

        Raises:
            ForeignEpisodeError: It is another version's, or another robot's.
        """
        try:
            manifest = self._files.manifest(name) if catalogued is None else catalogued
            require_spec(manifest, self._spec_digest)
            if catalogued is None:
                self._files.check_sizes(manifest)
                self._changed.add(name)
        except CorruptEpisodeError as error:
            if self._files.has(name):  # else the writer has removed it meanwhile
                self._exclude(name, str(error))
            return
        except ForeignEpisodeError as error:
            raise foreign_episode(name, self.path, str(error)) from error
        self._index[name] = manifest

    # -- helpers --

    def _folder(self, id: str) -> Path:
        return self._layout.episodes / id

    def _staging_place(self, id: str) -> Path:
        return self._layout.staging / f"{id}.{time.time_ns()}"

    @property
    def _layout(self) -> Layout:
        """Of a store on a disk, for its writer."""
        if self._root is None:
            raise StoreError(f"{self.path} can only be read: {ELSEWHERE}")
        return self._root

    def _exclude(self, id: str, reason: str) -> Damaged:
        """Stop using an episode; a writer also moves it aside."""
        with self._mutex:
            self._index.pop(id, None)
            if self.read_only or self._closed:
                damaged = Damaged(id, reason, None)
            else:
                damaged = put_aside(self._folder(id), reason, self._layout.quarantine)
            self._recovered = replace(self._recovered, damaged=(*self._recovered.damaged, damaged))
        return damaged

    def _has(self, info: EpisodeInfo) -> bool:
        there = self._index.get(info.id)
        if there is not None and there.info != info:
            raise StoreError(
                f"{self.path} has another episode with the id {info.id}: {there.info} there, {info} offered. "
                "Give a changed episode a new id (trajectories.recorder.new_episode_id)."
            )
        return there is not None

    def _clear_leftover(self, id: str) -> None:
        """Make way for a commit whose folder exists though the store doesn't count the episode."""
        folder = self._folder(id)
        if not os.path.lexists(folder):
            return
        if any(id == damaged.id for damaged in self._recovered.damaged):  # damage that the disk kept in place
            damaged = put_aside(folder, "damaged, then committed again", self._layout.quarantine)
            if damaged.moved_to is None:
                raise OSError(damaged.reason)
        else:  # whole, but its commit was refused at the very last sync
            place = self._staging_place(id)
            move(folder, place)
            delete_tree(place)

    @property
    def _closed(self) -> bool:
        return self._release is None or not self._release.alive

    def _require_writer(self) -> None:
        if self._closed:
            reason = "open for reading only" if self.read_only else "closed"
            raise StoreError(f"The store {self.path} is {reason}; open it for writing to change it.")
