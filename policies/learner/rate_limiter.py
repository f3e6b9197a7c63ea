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
            self._changed.notify_all()

    def wait_until_due(self, timeout_s: float) -> bool:
        """Wait until an update is due, `timeout_s` seconds at most; returns whether one is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._owed() > 0, max(0.0, timeout_s))

    def wait_until_owed_at_most(self, most: int, timeout_s: float) -> bool:
        """Wait until at most `most` updates are due, `timeout_s` seconds at most; returns whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._owed() <= most, max(0.0, timeout_s))

    def _owed(self) -> int:
        return max(0, self._steps - self._warmup_steps - self._updates)
