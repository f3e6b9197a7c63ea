"""The header of a store: the robot's `RobotSpec` that all its episodes share, sealed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from trajectories.checks import check_name
from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import move, replace_file
from trajectories.errors import CorruptEpisodeError, ForeignEpisodeError, SpecMismatchError, StoreError
from trajectories.layout import HEADER, Layout
from trajectories.manifest import SCHEMA, foreign_episode, read_manifest, software_versions
from trajectories.s3.path import StorePath
from trajectories.types import RobotSpec, digest_of


@dataclass(frozen=True)
class StoredSpec:
    """The robot specification of a store.

    Attributes:
        spec: As this version of Regrasp understands it.
        digest: Of the specification as it is written down. All episodes of the store state it, whichever version of
            Regrasp records them: a version whose `RobotSpec` has more entries computes another digest from `spec`.
    """

    spec: RobotSpec
    digest: str


def settle_spec(path: StorePath, spec: RobotSpec | None, layout: Layout | None) -> tuple[StoredSpec, str]:
    """The specification of a store, which must be `spec` where both are known.

    A writer that states `spec` also makes the header of a new store, and makes a lost or damaged one anew if
    the episodes agree with `spec`.

    Args:
        path: Of the store.
        spec: What it should be; None takes that of the store.
        layout: Of a writer; None changes nothing.

    Returns:
        The specification, and a note for a person, empty unless a header was made anew.

    Raises:
        SpecMismatchError: When the store was made for another specification.
        StoreError: When there is no store, or its header can't be read or written.
    """
    header = path / HEADER
    stored = read_header(header)
    if stored is not None:
        if spec is not None:
            spec.require_same(stored.spec, f"The trajectory store {path}")
        return stored, ""
    damaged = header.exists()
    if layout is None and not damaged:
        raise StoreError(f"There is no trajectory store in {path}: {HEADER} is missing.")
    if layout is None or spec is None:
        raise StoreError(
            f"{header} is damaged. Open the store once for writing and state its RobotSpec: "
            "the header is then made anew."
        )
    for camera in spec.cameras:
        check_name(camera, "camera")
    episodes = _require_agreement(layout, spec)
    _write(layout, spec)
    made = StoredSpec(spec, spec.digest)
    if not damaged and not episodes:
        return made, ""
    return made, f"{HEADER} was {'damaged' if damaged else 'missing'} and has been made anew"


def read_header(header: StorePath) -> StoredSpec | None:
    """What the header of a store says; None when it is missing or damaged.

    Raises:
        StoreError: It can't be read, or another version of Regrasp wrote it.
    """
    try:
        content = load_checksummed(header.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ChecksumError):
        return None
    if content.get("schema") != SCHEMA:
        raise StoreError(
            f"{header} has schema {content.get('schema')!r}, this version of Regrasp reads "
            f"{SCHEMA}. Open the store with the version that made it."
        )
    try:
        return StoredSpec(RobotSpec.from_dict(content["spec"]), digest_of(content["spec"]))
    except SpecMismatchError as error:
        raise StoreError(f"{header} was written by another version of Regrasp. {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{header} is undamaged, but its robot specification makes no sense here ({error!r}). Open the "
            "store with the version of Regrasp that made it."
        ) from error


def _write(layout: Layout, spec: RobotSpec) -> None:
    """Write the header; a damaged one is kept in the quarantine."""
    content = {"schema": SCHEMA, "spec": spec.to_dict(), "versions": software_versions()}
    try:
        if layout.header.exists():
            move(layout.header, layout.quarantine / f"{HEADER}.{layout.header.stat().st_mtime_ns}")
        replace_file(layout.header, dump_checksummed(content))
    except OSError as error:
        raise StoreError(f"Can't write {layout.header}: {error}.") from error


def _require_agreement(layout: Layout, spec: RobotSpec) -> int:
    """Episodes that are there without a header must agree with `spec`; returns how many there are."""
    count = 0
    for name in sorted(os.listdir(layout.episodes)):
        try:
            digest = read_manifest(layout.episodes / name).spec_digest
        except CorruptEpisodeError:
            continue
        except ForeignEpisodeError as error:
            raise foreign_episode(name, layout.root, str(error)) from error
        if digest != spec.digest:
            raise SpecMismatchError(
                f"The header of {layout.root} is lost, and its episode {name} was recorded with another "
                f"robot "
                f"specification (digests {digest[:12]} and {spec.digest[:12]}). Open the store with the RobotSpec "
                "that it was made with."
            )
        count += 1
    return count
