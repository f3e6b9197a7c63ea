"""`Presence`: whether the learner is heard, said as soon as that changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from robot.fleet import AWAY_S

_Clock = Callable[[], float]


class Presence:
    """Says that the learner at `address` is away, and that it is there again. Any thread may call any method.

    Args:
        address: For messages.
        notify: Gets the lines.
        clock: Monotonic time, s.
    """

    def __init__(self, address: str, notify: Callable[[str], None], clock: _Clock = time.monotonic) -> None:
        self._address, self._notify, self._clock = address, notify, clock
        self._lock = threading.Lock()
        self._heard_s: float | None = None
        self._away = False

    def heard(self) -> None:
        """An answer, or a piece of one, came from the learner."""
        with self._lock:
            now = self._clock()
            quiet_s, was_away = now - (self._heard_s or now), self._away
            self._heard_s, self._away = now, False
        if was_away:
            self._notify(f"learner at {self._address} answers again, after {quiet_s:.0f} s")

    def look(self) -> None:
        """Say so where nothing has been heard for `AWAY_S`; of one that was never heard nothing is said."""
        with self._lock:
            if self._away or self._heard_s is None or self._clock() - self._heard_s < AWAY_S:
                return
            self._away = True
        self._notify(
            f"learner at {self._address} is away: nothing heard for {AWAY_S:g} s. The arm ends its episode with the "
            "policy that it has, and keeps what it records in its outbox."
        )
