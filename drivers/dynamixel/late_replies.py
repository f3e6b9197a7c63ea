"""Which late replies may still be on their way."""

from __future__ import annotations

from collections.abc import Iterable

_LATEST_NS = 2_000_000_000
"""A reply that isn't there after this long is taken for lost, not late."""


class LateReplies:
    """Replies that were asked for and didn't come in time, by servo and number of data bytes.

    A late reply carries no sign of the request that it answers, but replies of one servo keep their order: once it
    answered a later request in a way that no earlier one could have been answered, nothing earlier is to come.
    """

    def __init__(self) -> None:
        self._owed: dict[int, dict[int, int]] = {}

    def add(self, servo: int, length: int, now_ns: int) -> None:
        """Note that `servo` still owes a reply with `length` data bytes."""
        self._owed.setdefault(servo, {})[length] = now_ns

    def settle(self, servo: int) -> None:
        """Note that `servo` has just answered unmistakably."""
        self._owed.pop(servo, None)

    def lengths(self, servo: int, now_ns: int) -> set[int]:
        """Lengths of replies that could still arrive from `servo`."""
        owed = self._owed.get(servo)
        if not owed:
            return set()
        for length in [length for length, since in owed.items() if now_ns - since > _LATEST_NS]:
            del owed[length]
        return set(owed)

    def distinct(self, servos: Iterable[int], choices: Iterable[int], now_ns: int) -> int | None:
        """The first of `choices` that no late reply of `servos` could be mistaken for, or None."""
        if not self._owed:
            return next(iter(choices), None)
        taken = set().union(*(self.lengths(servo, now_ns) for servo in servos))
        return next((length for length in choices if length not in taken), None)
