"""The manifest of an episode: what it is, and the size and digest of every file that it consists of.

Its presence makes a folder an episode: it is written with the other files, before the folder gets its name.
"""

from __future__ import annotations

import errno
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numcodecs
import numpy
import zarr

from trajectories.checks import plain_metadata
from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.errors import CorruptEpisodeError, StoreError
from trajectories.types import Direction, Episode, Outcome, RobotSpec

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
        spec_digest: `RobotSpec.digest` of the robot that it was recorded with.
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
    def of(cls, info: EpisodeInfo, spec: RobotSpec, files: Mapping[str, bytes]) -> Manifest:
        """The manifest of these files."""
        entries = {
            name: FileEntry(len(content), hashlib.sha256(content).hexdigest())
            for name, content in sorted(files.items())
        }
        return cls(info, spec.digest, entries, software_versions())

    def to_bytes(self) -> bytes:
        """Content of the file `manifest.json`."""
        files = {name: [entry.size, entry.sha256] for name, entry in self.files.items()}
        return dump_checksummed({**vars(self), "info": self.info.to_dict(), "files": files})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Inverse of `to_bytes`.

        Raises:
            CorruptEpisodeError: When a byte is not as written, or the schema is newer than this software.
        """
        try:
            content = load_checksummed(raw)
        except ChecksumError as error:
            raise CorruptEpisodeError(f"{MANIFEST} is damaged: {error}") from error
        if content.get("schema") != SCHEMA:
            raise CorruptEpisodeError(
                f"{MANIFEST} has schema {content.get('schema')!r}, this version of Regrasp reads {SCHEMA}; "
                "read it with the version that wrote it"
            )
        return cls(
            info=EpisodeInfo(**content["info"]),
            spec_digest=content["spec_digest"],
            files={name: FileEntry(size, digest) for name, (size, digest) in content["files"].items()},
            versions=content["versions"],
        )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an episode's folder.

    Raises:
        CorruptEpisodeError: When it is missing, damaged, or belongs to another episode.
        StoreError: When this process may not or can't open it.
    """
    manifest = Manifest.from_bytes(_read(folder, MANIFEST))
    if manifest.info.id != folder.name:
        raise CorruptEpisodeError(f"{MANIFEST} belongs to episode {manifest.info.id}, not to {folder.name}")
    return manifest


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """The cheap check: every file is there and has its size. Bytes are compared when the episode is read.

    Raises:
        CorruptEpisodeError: Naming the first file that is missing or has another size.
    """
    for name, entry in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise _unreadable(folder, name, error) from error
        _check_size(name, size, entry)


def read_verified(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """All files of an episode; their bytes are what the manifest says, or this raises.

    Raises:
        CorruptEpisodeError: Naming the first file that is missing or damaged.
        StoreError: When this process may not or can't open one.
    """
    files = {}
    for name, entry in manifest.files.items():
        content = _read(folder, name)
        _check_size(name, len(content), entry)
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise CorruptEpisodeError(f"{name} is damaged: sha256 {digest[:12]}…, expected {entry.sha256[:12]}…")
        files[name] = content
    return files


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


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _unreadable(folder, name, error) from error


def _unreadable(folder: Path, name: str, error: OSError) -> StoreError:
    """Damage of the episode, or a trouble of this process, such as permissions, that proves nothing."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return CorruptEpisodeError(f"{name} is missing")
    if error.errno in (errno.EIO, errno.EISDIR, errno.ELOOP):
        return CorruptEpisodeError(f"{name} can't be read: {error.strerror}")
    return StoreError(f"{folder / name} can't be read: {error.strerror}. Its episode is not judged by that.")


def _check_size(name: str, size: int, entry: FileEntry) -> None:
    if size != entry.size:
        raise CorruptEpisodeError(f"{name} has {size} bytes, expected {entry.size}")
