"""`Presence`: whether the learner is heard, said as soon as that changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from robot.fleet import AWAY_S

_Clock = Callable[[], float]


class Presence:
    """Says that the learner at `address` is away, and that it is there again: once each, whoever notices it first.

    Any thread may call any method.

    Args:
        address: For messages.
        notify: Gets the lines.
        clock: Monotonic time, s.
    """

    def __init__(self, address: str, notify: Callable[[str], None], clock: _Clock = time.monotonic) -> None:
        self._address, self._notify, self._clock = address, notify, clock
        self._lock = threading.Lock()
        self._heard_s: float | None = None
        self._away_s: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything has ever been heard."""
        return self._heard_s is not None

    def heard(self) -> None:
        """An answer, or a piece of one, came from the learner."""
        with self._lock:
            now, away_s = self._clock(), self._away_s
            self._heard_s, self._away_s = now, None
        if away_s is not None:
            self._notify(f"learner at {self._address} is back, after {now - away_s:.0f} s")

    def failing(self, line: str) -> None:
        """A call doesn't reach the learner; `line` says so, for a person."""
        with self._lock:
            self._away_s = self._quiet_since() if self._away_s is None else self._away_s
        self._notify(line)

    def look(self) -> None:
        """Say so where nothing has been heard for `AWAY_S`; of one that was never heard nothing is said."""
        with self._lock:
            if self._away_s is not None or self._clock() - self._quiet_since() < AWAY_S:
                return
            self._away_s = self._quiet_since()
        self._notify(
            f"learner at {self._address} is away: nothing heard for {AWAY_S:g} s. The arm ends its episode with the "
            "policy that it has, and keeps what it records in its outbox."
        )

    def _quiet_since(self) -> float:
        return self._clock() if self._heard_s is None else self._heard_s
