"""The manifest of an episode: what it is, and the size and digest of every file that it consists of.

Its presence makes a folder an episode: it is written with the other files, before the folder gets its name.
"""

from __future__ import annotations

import errno
import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import numcodecs
import numpy
import zarr

from trajectories.checks import plain_metadata
from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.errors import CorruptEpisodeError, ForeignEpisodeError, StoreError
from trajectories.s3.path import StorePath
from trajectories.types import Direction, Episode, Outcome

MANIFEST = "manifest.json"
SCHEMA = 1  # layout of an episode's folder; readers refuse newer ones


@dataclass(frozen=True)
class EpisodeInfo:
    """What is known of an episode without reading its columns; see `Episode` for the meanings.

    Attributes:
        length: Number of steps T.
    """

    id: str
    task: str
    instruction: str
    direction: Direction
    outcome: Outcome
    length: int
    metadata: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**vars(self), "metadata": dict(self.metadata)}


def describe(episode: Episode) -> EpisodeInfo:
    """The info of an episode, with its metadata as it comes back from JSON.

    Raises:
        InvalidEpisodeError: When JSON can't hold the metadata.
    """
    return EpisodeInfo(
        id=episode.id,
        task=episode.task,
        instruction=episode.instruction,
        direction=episode.direction,
        outcome=episode.outcome,
        length=len(episode),
        metadata=plain_metadata(episode.metadata, f"of episode {episode.id}"),
    )


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and hex sha256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an episode's folder holds.

    Attributes:
        info: What the episode is.
        spec_digest: Of the robot's specification, as the store's header has it (`header.StoredSpec.digest`).
        files: Relative path -> size and digest, of every file but the manifest.
        versions: Software that wrote it.
        schema: Layout of the folder.
    """

    info: EpisodeInfo
    spec_digest: str
    files: Mapping[str, FileEntry]
    versions: Mapping[str, str]
    schema: int = SCHEMA

    @classmethod
    def of(cls, info: EpisodeInfo, spec_digest: str, files: Mapping[str, bytes]) -> Manifest:
        """The manifest of these files."""
        entries = {
            name: FileEntry(len(content), hashlib.sha256(content).hexdigest())
            for name, content in sorted(files.items())
        }
        return cls(info, spec_digest, entries, software_versions())

    def to_bytes(self) -> bytes:
        """Content of the file `manifest.json`."""
        return dump_checksummed(self.to_content())

    def to_content(self) -> dict[str, Any]:
        """Plain JSON types."""
        files = {name: [entry.size, entry.sha256] for name, entry in self.files.items()}
        return {**vars(self), "info": self.info.to_dict(), "files": files}

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Inverse of `to_bytes`.

        Raises:
            CorruptEpisodeError: When a byte is not as written.
            ForeignEpisodeError: When another version of Regrasp wrote it, in a way that this one can't read.
        """
        try:
            content = load_checksummed(raw)
        except ChecksumError as error:
            raise CorruptEpisodeError(f"{MANIFEST} is damaged: {error}") from error
        return cls.from_content(content)

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Manifest:
        """Inverse of `to_content`.

        Raises:
            ForeignEpisodeError: When another version of Regrasp wrote it, in a way that this one can't read.
        """
        if content.get("schema") != SCHEMA:
            raise ForeignEpisodeError(
                f"its {MANIFEST} has schema {content.get('schema')!r}, this version of Regrasp reads {SCHEMA}"
            )
        try:
            return cls(
                info=_info(content["info"]),
                spec_digest=content["spec_digest"],
                files={name: FileEntry(size, digest) for name, (size, digest) in content["files"].items()},
                versions=content["versions"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ForeignEpisodeError(f"its {MANIFEST} is undamaged, but not of schema {SCHEMA} ({error!r})") from error


def _info(raw: Mapping[str, Any]) -> EpisodeInfo:
    expected = {entry.name for entry in fields(EpisodeInfo)}
    if odd := sorted(set(raw) ^ expected):
        what = "an entry that this version of Regrasp doesn't know" if odd[0] in raw else "no entry"
        raise ForeignEpisodeError(f"its {MANIFEST} has {what}: info.{odd[0]}")
    return EpisodeInfo(**raw)


def read_manifest(folder: StorePath, id: str | None = None) -> Manifest:
    """The manifest of an episode's folder, which has the episode's id for its name unless `id` is given.

    Raises:
        CorruptEpisodeError: When it is missing, damaged, or belongs to another episode.
        ForeignEpisodeError: When another version of Regrasp wrote it, in a way that this one can't read.
        StoreError: When this process may not or can't open it.
    """
    return manifest_of(read_file(folder, MANIFEST), folder.name if id is None else id)


def manifest_of(raw: bytes, id: str) -> Manifest:
    """The manifest of the episode `id` from the content of its file; errors as `Manifest.from_bytes`.

    Raises:
        CorruptEpisodeError: When it belongs to another episode, or names files outside the episode's folder.
    """
    manifest = Manifest.from_bytes(raw)
    if manifest.info.id != id:
        raise CorruptEpisodeError(f"{MANIFEST} belongs to episode {manifest.info.id}, not to {id}")
    outside = [name for name in manifest.files if {"", ".", ".."} & set(name.split("/"))]
    if outside:
        raise CorruptEpisodeError(f"{MANIFEST} names {outside[0]!r}, which is no file in the episode's folder")
    return manifest


def require_spec(manifest: Manifest, digest: str) -> None:
    """Refuse an episode that was recorded with another robot specification than the one with this digest.

    Raises:
        ForeignEpisodeError: With both digests.
    """
    if manifest.spec_digest != digest:
        raise ForeignEpisodeError(
            f"it was recorded with another robot specification (digest {manifest.spec_digest[:12]}, expected "
            f"{digest[:12]})"
        )


def foreign_episode(id: str, store: StorePath, reason: str) -> ForeignEpisodeError:
    """The error for an episode in a store that it doesn't fit, for a person."""
    return ForeignEpisodeError(
        f"Episode {id} in {store} doesn't fit this version of Regrasp, or this store: {reason}. "
        "It stays where it is. Open the store with the version that recorded it, or take the folder out of the store."
    )


def check_sizes(manifest: Manifest, size_of: Callable[[str], int]) -> None:
    """The cheap check: every file is there and has its size. Bytes are compared when the episode is read.

    Args:
        manifest: Of the episode.
        size_of: Bytes of a file of it, by its name.

    Raises:
        CorruptEpisodeError: Naming the first file that is missing or has another size.
    """
    for name, entry in manifest.files.items():
        try:
            size = size_of(name)
        except OSError as error:
            raise _unreadable(name, str(error.filename or name), error) from error
        _check_size(name, size, entry)


def read_verified(folder: StorePath, manifest: Manifest) -> dict[str, bytes]:
    """All files of an episode; their bytes are what the manifest says, or this raises; see `verified`."""
    return verified(manifest, partial(read_file, folder))


def verified(manifest: Manifest, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """All files of an episode; their bytes are what the manifest says, or this raises.

    Args:
        manifest: Of the episode.
        read: Gives the bytes of a file of it, by its name.

    Raises:
        CorruptEpisodeError: Naming the first file that is missing or damaged.
        StoreError: When this process may not or can't open one.
    """
    files = {}
    for name, entry in manifest.files.items():
        content = read(name)
        _check_size(name, len(content), entry)
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise CorruptEpisodeError(f"{name} is damaged: sha256 {digest[:12]}…, expected {entry.sha256[:12]}…")
        files[name] = content
    return files


def read_file(folder: StorePath, name: str, read: Callable[[], bytes] | None = None) -> bytes:
    """A file of an episode.

    Args:
        folder: Of the episode.
        name: Of the file.
        read: Gives its bytes, where they are on their way already.

    Raises:
        CorruptEpisodeError: It is missing, or the disk can't give it back.
        StoreError: This process may not or can't open it.
    """
    try:
        return (folder / name).read_bytes() if read is None else read()
    except OSError as error:
        raise _unreadable(name, folder / name, error) from error


@cache
def software_versions() -> dict[str, str]:
    """Versions of what decides about the bytes of an episode."""
    try:
        regrasp = version("regrasp")
    except PackageNotFoundError:  # run from a source tree that is not installed
        regrasp = "unknown"
    return {
        "regrasp": regrasp,
        "python": platform.python_version(),
        "zarr": cast(str, zarr.__version__),
        "numcodecs": numcodecs.__version__,
        "numpy": numpy.__version__,
    }


def _unreadable(name: str, path: StorePath | str, error: OSError) -> StoreError:
    """Damage of the episode, or a trouble of this process, such as permissions, that proves nothing."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return CorruptEpisodeError(f"{name} is missing")
    if error.errno in (errno.EIO, errno.EISDIR, errno.ELOOP):
        return CorruptEpisodeError(f"{name} can't be read: {error.strerror}")
    return StoreError(f"{path} can't be read: {error.strerror}. Its episode is not judged by that.")


def _check_size(name: str, size: int, entry: FileEntry) -> None:
    if size != entry.size:
        raise CorruptEpisodeError(f"{name} has {size} bytes, expected {entry.size}")
