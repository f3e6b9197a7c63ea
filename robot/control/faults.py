"""`FaultLatch`: the one rule about holds and faults, for every process and every mode.

While a hold or a fault stands nothing moves, the gripper neither. Each time that one comes it is an instance with an id
of its own, and only a person's word for exactly this instance ends it: what came meanwhile stands. With a record on the
disk they outlive every process; who starts next finds them standing.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from trajectories.durable import swap_file
from trajectories.errors import SafetyError

Kind = Literal["hold", "fault", "rest"]
_LETTERS = "abcdefghjkmnpqrstuvwxyz"  # without those that look like digits
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """Something that stands in the way of motion.

    Attributes:
        id: Of this instance, short enough to be typed; shown to the person, who names it to clear it.
        reason: For a person: what happened, what to do.
        kind: "hold": a person said so. "fault": something failed. "rest": the arm may still go to its sleep pose to
            protect its servos, and takes no commands; nothing else moves it.
        key: What it is about; of one key only the newest instance stands.
        since_ns: When it came, Unix ns: which of two is newer, also when they meet late. After all that stood when it
            came, even by a clock that was set back.
    """

    id: str
    reason: str
    kind: Kind = "fault"
    key: str = ""
    since_ns: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Fault:
        """Inverse of `to_dict`; a kind that is unknown counts as a fault.

        Raises:
            KeyError: Without id or reason.
        """
        kind: Kind = raw["kind"] if raw.get("kind") in ("hold", "rest") else "fault"
        return cls(str(raw["id"]), str(raw["reason"]), kind, str(raw.get("key", "")), int(raw.get("since_ns", 0)))


@dataclass(frozen=True)
class Clearance:
    """A person's word: who looked at the arm, and which instances are cleared."""

    person: str
    ids: tuple[str, ...]


class FaultLatch:
    """What stands, until a person's word for it; used from any thread.

    Args:
        record: File that keeps it for the next process; None keeps it in this one only.
    """

    def __init__(self, record: Path | None = None) -> None:
        self._record = record
        self._lock = threading.RLock()
        self._listeners: list[Callable[[tuple[Fault, ...]], None]] = []
        self._name = "".join(secrets.choice(_LETTERS) for _ in range(4))
        self._numbers = itertools.count(1)
        self._cleared: set[str] = set()
        self._standing: tuple[Fault, ...] = read_record(record) if record is not None else ()

    @property
    def standing(self) -> tuple[Fault, ...]:
        """What stands, oldest first. The same tuple as long as nothing changes."""
        return self._standing

    @property
    def reason(self) -> str | None:
        """All reasons, for a person; None when nothing stands."""
        return reason_of(self._standing)

    def trip(self, reason: str, kind: Kind = "fault", key: str = "", renew: bool = False) -> Fault:
        """Let something stand from now on.

        Args:
            reason: For a person.
            kind: See `Fault`.
            key: What it is about; empty: the reason itself.
            renew: Whether a new instance takes the place of one that stands for this key. A hold always does: a person
                who says it again doesn't want that a word for the earlier one ends it. Of others, only another
                reason makes a new instance.

        Returns:
            What stands for the key.
        """
        key = key or reason
        with self._lock:
            before = next((fault for fault in self._standing if (fault.kind, fault.key) == (kind, key)), None)
            if before is not None and kind != "hold" and (not renew or before.reason == reason):
                return before
            now_ns = max(time.time_ns(), *(1 + one.since_ns for one in self._standing), 0)
            fault = Fault(f"{self._name}{next(self._numbers)}", reason, kind, key, now_ns)
            self._cleared.update(() if before is None else (before.id,))
            self._set((*(one for one in self._standing if one is not before), fault))
        return fault

    def add(self, faults: Iterable[Fault]) -> None:
        """Take over instances of another process; those that were cleared or replaced here don't come back."""
        faults = tuple(faults)
        if not faults:  # as before nearly every command
            return
        with self._lock:
            standing = {(fault.kind, fault.key): fault for fault in self._standing}
            known = self._cleared | {fault.id for fault in self._standing}
            news = 0
            for fault in (fault for fault in faults if fault.id not in known):
                before = standing.get((fault.kind, fault.key))
                if before is None or before.since_ns <= fault.since_ns:
                    standing[fault.kind, fault.key], news = fault, news + 1
                    self._cleared.update(() if before is None else (before.id,))
                else:
                    self._cleared.add(fault.id)
            if news:
                self._set(tuple(standing.values()))

    def clear(self, person: str, ids: Collection[str]) -> tuple[Fault, ...]:
        """End exactly these instances on the word of a person who looked at the arm; returns which of them stood.

        Raises:
            SafetyError: When no name is given.
        """
        require_person(person)
        with self._lock:
            self._cleared.update(ids)
            ended = tuple(fault for fault in self._standing if fault.id in ids)
            if ended:
                self._set(tuple(fault for fault in self._standing if fault.id not in ids))
        return ended

    def subscribe(self, listener: Callable[[tuple[Fault, ...]], None]) -> None:
        """Have `listener` told what stands, now and after every change, in the thread that changes it."""
        with self._lock:
            self._listeners.append(listener)
            listener(self._standing)

    def unsubscribe(self, listener: Callable[[tuple[Fault, ...]], None]) -> None:
        """Tell `listener` no more."""
        with self._lock:
            self._listeners.remove(listener)

    def _set(self, standing: tuple[Fault, ...]) -> None:
        self._standing = standing
        try:
            for listener in self._listeners:  # first: what moves stops
                listener(standing)
        finally:
            if self._record is not None:
                _write_record(self._record, standing)


def reason_of(faults: Iterable[Fault]) -> str | None:
    """All reasons, for a person; None without any."""
    return " ".join(fault.reason for fault in faults) or None


def caused(faults: Iterable[Fault]) -> tuple[str, ...]:
    """Ids of what no person said: who stands in for people may clear these, never a hold."""
    return tuple(fault.id for fault in faults if fault.kind != "hold")


def require_person(person: str) -> None:
    """Refuse a word that nobody gave.

    Raises:
        SafetyError: Without a name.
    """
    if not person.strip():
        raise SafetyError("A fault can only be cleared by a person who gives a name.")


def require_known(ids: Collection[str], standing: Iterable[Fault]) -> None:
    """Refuse a clear that names nothing that stands, or something that doesn't.

    Raises:
        SafetyError: With what stands.
    """
    known = {fault.id: fault for fault in standing}
    if not ids or not set(ids) <= set(known):
        wrong = ", ".join(sorted(set(ids) - set(known)))
        stands = "; ".join(f"{fault.id}: {fault.reason}" for fault in known.values()) or "nothing"
        said = f"{wrong} doesn't stand (any more)" if wrong else "The fault to be cleared must be named"
        raise SafetyError(f"{said}. Nothing was cleared. Look again; what stands now is {stands}.")


def require_every_fault(ids: Collection[str], standing: Iterable[Fault]) -> None:
    """Refuse a clear that leaves out a fault: what restarts the servos of one restarts those of all.

    Raises:
        SafetyError: With those that were not named.
    """
    unnamed = [fault for fault in standing if fault.kind == "fault" and fault.id not in ids]
    if unnamed:
        more = "; ".join(f"{fault.id}: {fault.reason}" for fault in unnamed)
        raise SafetyError(f"Other faults stand that were not named. Nothing was cleared. Look again: {more}")


def inherited(raws: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """What a process left standing, for the one after it. A rest becomes a fault: nothing begins to move by itself."""
    faults = (Fault.from_dict(raw) for raw in raws)
    return tuple(
        replace(fault, kind="fault", key=f"{fault.key} {fault.id}") if fault.kind == "rest" else fault
        for fault in faults
    )


def read_record(path: Path) -> tuple[Fault, ...]:
    """What stood when the last process wrote the record; nothing without one.

    A record that can't be read is a fault itself, with an id that only its path decides: what stood isn't known.
    """
    try:
        return inherited(json.loads(path.read_text(encoding="utf-8"))["faults"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"The record of holds and faults, {path}, can't be read ({error}), so one may stand. Look at the arm."
        number = zlib.crc32(os.fsencode(path.absolute())) % 10_000
        return (Fault(f"record{number}", reason, key=f"record {path.absolute()}"),)


def _write_record(path: Path, standing: tuple[Fault, ...]) -> None:
    """Replace the record whole; without faults it goes. It outlives processes; a power cut may spoil it."""
    try:
        if not standing:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        swap_file(path, json.dumps({"faults": [fault.to_dict() for fault in standing]}).encode())
    except OSError as error:
        _log.error("What stands couldn't be recorded in %s (%s): it would be lost with this process.", path, error)
