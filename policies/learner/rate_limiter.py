"""How many updates environment steps pay for, and how far the learner falls behind."""

from __future__ import annotations

import threading

from trajectories.errors import ConfigError


class UpdateRateLimiter:
    """Counts environment steps and updates: one update is due for every step after the warm-up.

    Reverb (arXiv 2102.04736) couples inserts and samples in the same way. Any thread may call any method.
    """

    def __init__(self, warmup_steps: int, *, steps: int = 0, updates: int = 0) -> None:
        """Begin to count.

        Args:
            warmup_steps: Environment steps during which nothing is learned (step 3 of WSRL, arXiv 2412.07762).
            steps: Environment steps so far.
            updates: Updates so far.

        Raises:
            ConfigError: The warm-up is negative.
        """
        if warmup_steps < 0:
            raise ConfigError(f"warmup_steps={warmup_steps} must not be negative.")
        self._warmup_steps, self._steps, self._updates = warmup_steps, steps, updates
        self._changed = threading.Condition()
        self._waiting: dict[str, int] = {}  # who -> at how many updates due it may go
        self._turns: set[str] = set()  # who may go whatever has come meanwhile

    @property
    def steps(self) -> int:
        """Environment steps."""
        with self._changed:
            return self._steps

    @property
    def updates(self) -> int:
        """Updates done."""
        with self._changed:
            return self._updates

    @property
    def owed(self) -> int:
        """Updates due."""
        with self._changed:
            return self._owed()

    @property
    def trained_steps(self) -> int:
        """Environment steps that the present policy has learned from (all of them in the warm-up)."""
        with self._changed:
            return min(self._steps, self._warmup_steps + self._updates)

    def add_steps(self, steps: int) -> None:
        """Count environment steps."""
        with self._changed:
            self._steps += steps
            self._changed.notify_all()

    def add_update(self) -> None:
        """Count an update."""
        with self._changed:
            self._updates += 1
            owed = self._owed()
            due = {who for who, most in self._waiting.items() if owed <= most}
            self._turns |= due
            for who in due:
                del self._waiting[who]
            if due:  # nobody else has anything to go on for: an update makes none due
                self._changed.notify_all()

    def wait_until_due(self, timeout_s: float) -> bool:
        """Wait until an update is due, `timeout_s` seconds at most; returns whether one is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._owed() > 0, max(0.0, timeout_s))

    def wait_for_turn(self, who: str, most: int, timeout_s: float) -> bool:
        """Wait until at most `most` updates are due, or were so at some moment since `who` asked first.

        Of several who wait each goes once whenever that comes about, also one that is between two calls just then and
        comes back when the others' steps have already put the learner behind again. A turn keeps nobody waiting, so
        whoever never comes back for it blocks nobody.

        Args:
            who: Asks.
            most: Updates due.
            timeout_s: That this call takes at most.

        Returns:
            Whether `who` may go. If not, it is remembered as waiting.
        """
        with self._changed:
            if who not in self._turns and self._owed() > most:
                self._waiting[who] = most
            may = self._changed.wait_for(lambda: who in self._turns or self._owed() <= most, max(0.0, timeout_s))
            if may:
                self._waiting.pop(who, None)
                self._turns.discard(who)
            return may

    def _owed(self) -> int:
        return max(0, self._steps - self._warmup_steps - self._updates)
