"""`Fleet`: which actors a learner has, whether they live, and what they told last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from policies.learner.learner_status import ActorView, LearnerStatus
from policies.learner.run_metrics import StreamCounts
from robot.fleet import ALIVE_S, AWAY_S, ENDED, ActorIdentity, ActorReport
from trajectories.errors import CheckpointError, NameTakenError

logger = logging.getLogger(__name__)


class Fleet:
    """Every actor that the run has had, by name. Any thread may call any method."""

    def __init__(self, left: Iterable[ActorView] = (), clock: Callable[[], float] = time.time) -> None:
        """Go on with what an earlier start of the learner knew.

        Args:
            left: From its status file; nobody of them counts as living until it is heard. For `ALIVE_S` after the
                first hello the names of those that hadn't ended are theirs.
            clock: Unix time, s.
        """
        self._clock, self._lock = clock, threading.Lock()
        self._views = {one.name: replace(one, alive=False, behind=0) for one in left}
        self._starts: dict[str, str] = {}  # name -> the process that has it
        self._before = {
            one.name: one.start for one in self._views.values() if one.start and one.report.state not in ENDED
        }
        self._first_s: float | None = None  # when somebody said hello first
        self._told: set[str] = set()

    def enter(self, actor: ActorIdentity) -> None:
        """Let an actor have its name.

        Raises:
            NameTakenError: Another process that lives has it, or had it when the learner was started again.
        """
        with self._lock:
            if self._first_s is None:
                self._first_s = self._clock()
            if self._holder(actor.name) not in (None, actor.start):
                quiet = self._clock() - self._views[actor.name].heard_s
                raise NameTakenError(
                    f"This learner has an actor called {actor.name!r} already, which was heard {quiet:.0f} s ago. Two "
                    "arms need two names: start one of them with actor.name=NAME. Was that the same arm, end the "
                    "process that still runs there."
                )
            self._starts[actor.name] = actor.start
            self._told.discard(actor.name)
            before = self._views.get(actor.name, ActorView(actor.name))
            report = replace(before.report, state="starting", detail="")
            self._views[actor.name] = replace(
                before, heard_s=self._clock(), report=report, calibration=actor.calibration, start=actor.start
            )

    def hear(self, name: str, report: ActorReport) -> None:
        """An actor told of itself."""
        with self._lock:
            self._views[name] = replace(self._views[name], heard_s=self._clock(), report=report)

    def heard(self, name: str) -> None:
        """An actor lives, whatever it told last."""
        with self._lock:
            self._views[name] = replace(self._views[name], heard_s=self._clock())

    def tell_finished(self, name: str) -> None:
        """An actor was told that the run has all its steps."""
        with self._lock:
            self._told.add(name)

    @property
    def told_all(self) -> bool:
        """Whether every actor that has its name was told, and at least one."""
        with self._lock:
            return bool(self._told) and all(n in self._told for n in self._views if self._holder(n) is not None)

    def views(self, version: int) -> tuple[ActorView, ...]:
        """Every actor, by name, without what the store knows of it.

        Args:
            version: Newest published policy.
        """
        with self._lock:
            return tuple(
                replace(
                    one,
                    alive=name in self._starts and self._lives(name, AWAY_S),
                    behind=max(0, version - one.report.policy_version),
                )
                for name, one in sorted(self._views.items())
            )

    def _holder(self, name: str) -> str | None:
        """The process that has a name; None where anybody may take it."""
        if name in self._starts:
            return self._starts[name] if self._lives(name) else None
        soon = self._first_s is not None and abs(self._clock() - self._first_s) < ALIVE_S
        return self._before.get(name) if soon else None

    def _lives(self, name: str, within_s: float = ALIVE_S) -> bool:
        view = self._views[name]  # heard later than now: the clock was set back, and one that lives is heard again soon
        return view.report.state not in ENDED and abs(self._clock() - view.heard_s) < within_s


def actors_left(path: Path) -> tuple[ActorView, ...]:
    """The actors in the status file that an earlier start of the learner left; none where it can't be read."""
    if not path.exists():
        return ()
    try:
        return LearnerStatus.read(path).actors
    except (OSError, ValueError) as error:
        logger.warning("what the actors told last is lost (%s); what they did is in the store", error)
        return ()


def with_counts(views: Iterable[ActorView], counts: Mapping[str, StreamCounts]) -> tuple[ActorView, ...]:
    """The actors with what the store has of them; one that only the store knows, too."""
    known = {one.name: one for one in views}
    every = {name: known.get(name, ActorView(name)) for name in sorted({*known, *counts})}
    return tuple(_counted(one, counts.get(name, StreamCounts())) for name, one in every.items())


def _counted(view: ActorView, counts: StreamCounts) -> ActorView:
    return replace(view, episodes=counts.episodes, steps=counts.steps, unsure=counts.unsure, success=counts.success())


def require_same_policy(actor: ActorIdentity, digest: str, parts: dict[str, str], mine: str) -> None:
    """Refuse an actor that starts from another policy.

    Args:
        actor: Who.
        digest: Of its policy.
        parts: Of this run's policy, part -> digest or word.
        mine: Digest of this run's policy.

    Raises:
        CheckpointError: By name, with both digests and the first part that differs.
    """
    if digest == mine:
        return
    theirs = actor.parts
    part = next((name for name in parts if name in theirs and theirs[name] != parts[name]), None)
    first = "" if part is None else f" The first difference: its {part} is {theirs[part]!r}, here {parts[part]!r}."
    raise CheckpointError(
        f"The actor {actor.name!r} starts from policy {digest[:12]}, this run from {mine[:12]}.{first} Give both the "
        "same pre-trained folder."
    )
