"""A person's verdicts on episodes, beside them in the trajectory store: who said what, and when.

    verdicts/<episode id>.<time>-<random>.json   one verdict each, sealed by its own digest

An episode's own content stays as it was recorded, its digest with it; a verdict says what counts instead of its
outcome. Verdicts are only ever added: the newest of an episode holds, and one that takes back lets the recorded outcome
count again. Since each is a file of its own that appears whole, several processes may add verdicts at once, also beside
the store's one writer.

    book = VerdictBook(store.path)
    book.add(Verdict.now(id, "not_done", by="Anna", via="review"))   # on the disk when this returns
    book.outcome(store.info(id))                                     # "failure", whatever the judge said
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from trajectories.checks import check_name
from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import replace_file
from trajectories.errors import DiskError, InvalidEpisodeError, StoreError
from trajectories.kinds import FROM_HOME_KEY
from trajectories.labels import relabel
from trajectories.s3.connection import S3Error
from trajectories.s3.path import ELSEWHERE, S3Path, StorePath
from trajectories.types import Episode, Outcome

logger = logging.getLogger(__name__)

VERDICTS = "verdicts"
"""Folder of a store."""
VERDICT_KEY = "verdict"
"""In the metadata of an episode from `VerdictBook.judged`: the verdict that holds, and under "was" its own outcome."""
Word = Literal["done", "not_done", "taken_back"]
MOST_NAME = 80
"""Longest name of a person, characters."""
SCHEMA = 1
_OUTCOMES: Mapping[str, Outcome] = {"done": "success", "not_done": "failure"}
_SETTLED_NS = 1_000_000_000
"""A folder whose time of change is older than this has changed no more without a newer time."""


@dataclass(frozen=True)
class Verdict:
    """What a person said about the end of an episode.

    Attributes:
        episode: Id of the episode.
        word: "done": its task was done at its end; "not_done": it was not; "taken_back": what was said before about
            this episode counts no more.
        by: Name of the person.
        via: Where it was said, e.g. "console", "device", "review".
        at_unix_ns: When, Unix time by the clock of the computer where it was said, ns; later than what was known there
            of the episode.
        tail: Tells verdicts of one instant apart.
    """

    episode: str
    word: Word
    by: str
    via: str
    at_unix_ns: int
    tail: str

    def __post_init__(self) -> None:
        """Check it: verdicts arrive from other machines, and their entries name files.

        Raises:
            InvalidEpisodeError: An entry is of another type or no possible value; names it.
        """
        check_name(self.episode, "episode id")
        check_name(self.tail, "tail of a verdict")
        check_name(self.via, "place of a verdict")
        if self.word not in get_args(Word):
            raise InvalidEpisodeError(f"A verdict says {self.word!r}, expected one of {', '.join(get_args(Word))}.")
        name = self.by
        if not isinstance(name, str) or not name.strip() or len(name) > MOST_NAME or not name.isprintable():
            raise InvalidEpisodeError(
                f"A verdict needs the name of the person, up to {MOST_NAME} printable characters, got "
                f"{str(name)[:99]!r}."
            )
        at = self.at_unix_ns
        if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < 10**20:
            raise InvalidEpisodeError(f"A verdict's time is {at!r}, expected Unix time in whole ns.")

    @classmethod
    def now(cls, episode: str, word: Word, *, by: str, via: str, after: Verdict | None = None) -> Verdict:
        """A verdict of this moment; arguments and errors as of the class.

        It holds against `after`, the newest that is known of this episode, even where the clock was set back since.
        """
        earliest_ns = 0 if after is None else after.at_unix_ns + 1
        return cls(episode, word, by, via, max(time.time_ns(), earliest_ns), secrets.token_hex(4))

    @property
    def outcome(self) -> Outcome | None:
        """The outcome that it gives the episode; None where it takes back."""
        return _OUTCOMES.get(self.word)

    @property
    def file_name(self) -> str:
        """Of its file."""
        return f"{self.episode}.{self.at_unix_ns:020d}-{self.tail}.json"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Verdict:
        """Inverse of `to_dict`.

        Raises:
            InvalidEpisodeError: An entry is missing, unknown or impossible.
        """
        expected = {entry.name for entry in fields(cls)}
        if odd := sorted(expected ^ set(raw)):
            raise InvalidEpisodeError(
                f"A verdict has the entries {sorted(raw)}, expected {sorted(expected)}: {odd[0]}."
            )
        return cls(**raw)


def that_holds(newest: Verdict | None) -> Verdict | None:
    """The verdict that holds after what was said last, `newest`; None where nothing was, or it takes back."""
    return newest if newest is not None and newest.outcome is not None else None


def require_said(verdict: Verdict | None, episode: str) -> None:
    """Refuse to take back what nobody has said: `verdict`, the one on the episode that holds, is None.

    Raises:
        InvalidEpisodeError: It is.
    """
    if verdict is None:
        raise InvalidEpisodeError(f"Nobody has said anything about episode {episode} that could be taken back.")


class Recorded(Protocol):
    """What is known of an episode: an `Episode` or its `EpisodeInfo`."""

    @property
    def id(self) -> str:
        """Of the episode."""
        ...

    @property
    def outcome(self) -> Outcome:
        """As it was recorded."""
        ...


def judged_at_its_end(episode: Episode) -> Outcome:
    """What its judge said at the last step of an episode, before the arm went home and before anybody spoke."""
    recorded = (episode.metadata.get(VERDICT_KEY) or {}).get("was", episode.outcome)
    judged: Outcome = (episode.metadata.get(FROM_HOME_KEY) or {}).get("judged", recorded)
    return judged


def was_missed(episode: Episode) -> bool:
    """Whether an episode is a success, by the look from home or a person's word, that its judge had not seen happen."""
    return episode.outcome == "success" and judged_at_its_end(episode) != "success"


class VerdictBook:
    """The verdicts of one store. Methods may be called from several threads."""

    def __init__(self, store: StorePath) -> None:
        """Read the verdicts of the store in the folder, or at the address, `store`; there may be none.

        Raises:
            StoreError: They can't be listed.
        """
        self.folder = store / VERDICTS
        self._mutex = threading.RLock()
        self._known: dict[str, Verdict | None] = {}  # file name -> its verdict, None where it can't be read
        self._damaged: dict[str, _Damage] = {}  # those that can't be read
        self._history: dict[str, list[Verdict]] = {}
        self._changed: set[str] = set()
        self._mark = 0
        self.refresh()

    def __len__(self) -> int:
        """Number of verdicts, those that hold no more included."""
        return sum(map(len, self._history.values()))

    @property
    def episodes(self) -> list[str]:
        """Ids of all episodes that somebody said something about, in order."""
        with self._mutex:
            return sorted(self._history)

    def all(self) -> list[Verdict]:
        """Every verdict, oldest first."""
        with self._mutex:
            return sorted((one for history in self._history.values() for one in history), key=_order)

    def history(self, id: str) -> list[Verdict]:
        """Everything that was said about an episode, oldest first."""
        with self._mutex:
            return list(self._history.get(id, ()))

    def newest(self, id: str) -> Verdict | None:
        """What was said last about an episode, which may take back; None where nothing was."""
        history = self.history(id)
        return history[-1] if history else None

    def of(self, id: str) -> Verdict | None:
        """The verdict on an episode that holds; None where there is none, or the newest takes back."""
        return that_holds(self.newest(id))

    def outcome(self, episode: Recorded) -> Outcome:
        """The outcome of an episode that counts: by the verdict that holds, else as it was recorded."""
        verdict = self.of(episode.id)
        said = None if verdict is None else verdict.outcome
        return episode.outcome if said is None else said

    def judged(self, episode: Episode) -> Episode:
        """The episode with the outcome that counts and labels that follow from it; itself where no verdict holds.

        Under `VERDICT_KEY` its metadata say whose word that is and what the outcome was before.
        """
        verdict = self.of(episode.id)
        if verdict is None:
            return episode
        about = {"word": verdict.word, "by": verdict.by, "at_unix_ns": verdict.at_unix_ns, "was": episode.outcome}
        metadata = {**episode.metadata, VERDICT_KEY: about}
        return relabel(replace(episode, metadata=metadata), self.outcome(episode))

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict; it is on the disk when this returns. The same again changes nothing.

        Raises:
            DiskError: When the disk refuses.
        """
        with self._mutex:
            if self._known.get(verdict.file_name) is not None:
                return
            try:
                folder = self._writable()
                folder.mkdir(exist_ok=True)
                content = dump_checksummed({"schema": SCHEMA, "verdict": verdict.to_dict()})
                replace_file(folder / verdict.file_name, content)
            except OSError as error:
                raise DiskError(
                    f"What {verdict.by} said about episode {verdict.episode} can't be kept in {self.folder}: {error}. "
                    "Make room or give write permission, then say it again."
                ) from error
            self._take(verdict.file_name, verdict)

    def remove(self, verdict: Verdict) -> None:
        """Delete a verdict that has arrived elsewhere. For outboxes; in other stores verdicts are taken back.

        Raises:
            StoreError: When the disk refuses.
        """
        with self._mutex:
            try:
                (self._writable() / verdict.file_name).unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{self.folder / verdict.file_name} can't be removed: {error}.") from error
            self._forget(verdict.file_name)

    def refresh(self) -> set[str]:
        """See what others added or removed; returns the ids of the episodes whose verdicts changed since last time.

        Costs one look at the folder, and one at each damaged file, while nothing changes there. A damaged file is left
        out with a warning until it has changed: repaired in place, it counts. What this book added or removed itself
        counts as a change, too.

        Raises:
            StoreError: The folder can't be listed.
        """
        with self._mutex:
            self._read_repaired()
            listed = self._list()
            if listed is None:
                return self._take_changes()
            names = {name for name in listed if name[0] != "." and name.endswith(".json")}
            for name in self._known.keys() - names:
                self._forget(name)
            for name in sorted(names - self._known.keys()):
                self._take(name, self._read(name))
            return self._take_changes()

    # -- inside --

    def _writable(self) -> Path:
        if isinstance(self.folder, S3Path):
            raise StoreError(f"{self.folder} can only be read: {ELSEWHERE}")
        return self.folder

    def _list(self) -> Collection[str] | None:
        """Names of all files; None where nothing has changed since the last time."""
        if isinstance(self.folder, S3Path):
            return self.folder.objects()
        try:
            mark = self.folder.stat().st_mtime_ns
            if mark == self._mark and time.time_ns() - mark > _SETTLED_NS:
                return None
            names = os.listdir(self.folder)
        except FileNotFoundError:
            mark, names = 0, []
        except OSError as error:
            raise StoreError(f"The verdicts in {self.folder} can't be listed: {error}.") from error
        self._mark = mark
        return names

    def _read_repaired(self) -> None:
        """Read damaged files again that have changed since."""
        for name, damage in list(self._damaged.items()):
            if damage.version is None or _version(self.folder / name) != damage.version:
                self._take(name, self._read(name))

    def _read(self, name: str) -> Verdict | None:
        version, before = _version(self.folder / name), self._damaged.pop(name, None)
        try:
            content = load_checksummed((self.folder / name).read_bytes())
            if content["schema"] != SCHEMA:
                raise StoreError(f"it has schema {content['schema']!r}, this version of Regrasp reads {SCHEMA}")
            verdict = Verdict.from_dict(content["verdict"])
            if verdict.file_name != name:
                raise StoreError(f"it belongs under the name {verdict.file_name}")
        except S3Error:
            raise
        except (OSError, ChecksumError, StoreError, InvalidEpisodeError, KeyError, TypeError) as error:
            if before is None or before.reason != str(error):
                logger.warning("the verdict %s is left out: %s", self.folder / name, error)
            self._damaged[name] = _Damage(version, str(error))
            return None
        return verdict

    def _take(self, name: str, verdict: Verdict | None) -> None:
        self._known[name] = verdict
        if verdict is not None:
            self._damaged.pop(name, None)
            history = [*self._history.get(verdict.episode, ()), verdict]
            self._history[verdict.episode] = sorted(history, key=_order)
            self._changed.add(verdict.episode)

    def _take_changes(self) -> set[str]:
        changed, self._changed = self._changed, set()
        return changed

    def _forget(self, name: str) -> None:
        """Drop a file that is gone."""
        self._damaged.pop(name, None)
        verdict = self._known.pop(name, None)
        if verdict is None:
            return
        rest = [one for one in self._history[verdict.episode] if one != verdict]
        if rest:
            self._history[verdict.episode] = rest
        else:
            del self._history[verdict.episode]
        self._changed.add(verdict.episode)


@dataclass(frozen=True)
class _Damage:
    """A file that can't be read.

    Attributes:
        version: Inode, size and time of change, ns, before it was read; None where a further change might not show.
        reason: Why not.
    """

    version: tuple[int, int, int] | None
    reason: str


def _version(path: StorePath) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where there is no file, it changed a moment ago, or nothing says so."""
    if isinstance(path, S3Path):
        return None
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns) if time.time_ns() - seen.st_mtime_ns > _SETTLED_NS else None


def _order(verdict: Verdict) -> tuple[int, str]:
    return verdict.at_unix_ns, verdict.tail
