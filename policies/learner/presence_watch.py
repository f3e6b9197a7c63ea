"""`PresenceWatch`: says which actors have gone away and which are there again, while the learner is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from policies.learner.learner_status import ActorView
from robot.fleet import AWAY_S, ENDED

_LOOK_S = 0.2


class PresenceWatch:
    """Looks at the actors from a thread of its own, as long as the context lasts.

    Args:
        views: Every actor as it is now.
        say: Gets a line about each that goes away or is back.
        changed: Called after such a change.
    """

    def __init__(
        self, views: Callable[[], tuple[ActorView, ...]], say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._views, self._say, self._changed = views, say, changed
        self._away: dict[str, float] = {}  # name -> Unix time when it was heard last
        self._present: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="presence", daemon=True)

    def look(self) -> None:
        """Say what has changed since the last look."""
        lines = [line for one in self._views() if (line := self._line(one))]
        for line in lines:
            self._say(line)
        if lines:
            self._changed()

    def _line(self, one: ActorView) -> str | None:
        """What is to be said of an actor."""
        if one.alive:
            self._present.add(one.name)
            since = self._away.pop(one.name, None)
            return None if since is None else f"actor {one.name!r} is back, after {one.heard_s - since:.0f} s"
        if one.name not in self._present:
            return None
        self._present.discard(one.name)
        if one.report.state in ENDED:
            return None
        self._away[one.name] = one.heard_s
        return f"actor {one.name!r} is away: nothing heard for {AWAY_S:g} s. What it records waits in its outbox."

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look()

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()
