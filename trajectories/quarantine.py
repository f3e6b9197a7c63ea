"""Putting damaged episodes aside with a report, and reading the reports back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trajectories.durable import move, replace_file
from trajectories.errors import DiskError, StoreError
from trajectories.manifest import Manifest, read_manifest, read_verified, require_spec

REPORT, EPISODE = "report.json", "episode"


@dataclass(frozen=True)
class Damaged:
    """An episode that can't be used.

    Attributes:
        id: Name of its folder.
        reason: What is wrong with it.
        moved_to: Where it lies now; None when it was left in place (the store is open for reading only, or
            the disk refused the move).
    """

    id: str
    reason: str
    moved_to: Path | None

    def __str__(self) -> str:
        """One line for a person."""
        place = f"moved to {self.moved_to}" if self.moved_to else "left in place, not used"
        return f"{self.id}: {self.reason} ({place})"


@dataclass(frozen=True)
class Recovery:
    """What opening and using a store has brought to light.

    Attributes:
        discarded: Names of unfinished commits and removals that were thrown away: none was ever acknowledged.
        damaged: Episodes that were put aside, oldest finding first.
        notes: Other findings, such as a damaged header that was written anew.
    """

    discarded: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Lines for a person; empty when nothing was found."""
        lines = [*self.notes]
        if self.discarded:
            lines.append(f"discarded {len(self.discarded)} unfinished commits or removals: {', '.join(self.discarded)}")
        lines += [f"damaged: {damaged}" for damaged in self.damaged]
        return "\n".join(lines)


@dataclass(frozen=True)
class Restored:
    """What became of episodes that were to come back from the quarantine.

    Attributes:
        ids: Of those that are in the store again.
        refused: The others, with what keeps each out of the store.
    """

    ids: tuple[str, ...]
    refused: tuple[Damaged, ...]

    def __str__(self) -> str:
        """Lines for a person."""
        lines = [f"Brought back from the quarantine: {len(self.ids)}" + (":" if self.ids else ".")]
        lines += [f"  {id}" for id in self.ids]
        lines += [f"  stays in {entry.moved_to}: {entry.id}: {entry.reason}" for entry in self.refused]
        return "\n".join(lines)


def put_aside(folder: Path, reason: str, quarantine: Path) -> Damaged:
    """Move an episode's folder into the quarantine, with a report. Its bytes stay as they are.

    The report is written first: a kill in between leaves a report without an episode, which means nothing,
    and the episode where it will be found again. If the disk refuses, the episode is left in place.
    """
    now = time.time_ns()
    place = quarantine / f"{folder.name}.{now}"
    report = {"id": folder.name, "reason": reason, "found_at_unix_ns": now}
    try:
        place.mkdir(parents=True)
        replace_file(place / REPORT, json.dumps(report, indent=1).encode())
        move(folder, place / EPISODE)
    except OSError as error:
        return Damaged(folder.name, f"{reason}; it could not be moved aside: {error.strerror}", None)
    return Damaged(folder.name, reason, place)


def list_quarantine(quarantine: Path) -> list[Damaged]:
    """Everything that was ever put aside and is still there, oldest first by name."""
    found = []
    for place in sorted(quarantine.iterdir()) if quarantine.is_dir() else []:
        if not os.path.lexists(place / EPISODE):
            continue
        try:
            report = json.loads((place / REPORT).read_bytes())
            found.append(Damaged(str(report["id"]), str(report["reason"]), place))
        except (OSError, ValueError, KeyError, TypeError):
            found.append(Damaged(place.name.rsplit(".", 1)[0], "the report is unreadable", place))
    return found


def chosen(entries: Sequence[Damaged], ids: Sequence[str] | None, quarantine: Path) -> list[Damaged]:
    """The entries of the quarantine that are meant by `ids`, None for all; newest first.

    Raises:
        StoreError: When there is none with one of the ids.
    """
    missing = sorted(set(ids or ()) - {entry.id for entry in entries})
    if missing:
        there = ", ".join(sorted({entry.id for entry in entries})) or "nothing"
        raise StoreError(f"There is no episode {missing[0]!r} in {quarantine}; it holds {there}.")
    return [entry for entry in reversed(entries) if ids is None or entry.id in ids]


def bring_back(entry: Damaged, episodes: Path, spec_digest: str) -> Manifest:
    """Move an episode from the quarantine to its place in `episodes`, if it is whole; returns its manifest.

    The report stays: it means nothing without an episode beside it.

    Raises:
        StoreError: It is damaged, belongs to another robot's store, or there is an episode with its id.
        DiskError: When the disk refuses.
    """
    folder, target = _place(entry) / EPISODE, episodes / entry.id
    if os.path.lexists(target):
        raise StoreError("the store has an episode with this id")
    manifest = read_manifest(folder, entry.id)
    require_spec(manifest, spec_digest)
    read_verified(folder, manifest)
    try:
        move(folder, target)
    except OSError as error:
        raise DiskError(f"the disk refuses: {error.strerror}") from error
    return manifest


def _place(entry: Damaged) -> Path:
    if entry.moved_to is None:
        raise StoreError("it is not in the quarantine")
    return entry.moved_to
