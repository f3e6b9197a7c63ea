"""Percentiles of durations over any length of time, in constant memory."""

from __future__ import annotations

import math
from array import array

_FINEST_S = 1e-6
_LONGEST_S = 100.0
_STEP = math.log(1.01)
_BINS = math.ceil(math.log(_LONGEST_S / _FINEST_S) / _STEP) + 1


class Histogram:
    """Counts durations in bins that are 1 % wide, from 1 us to 100 s.

    Attributes:
        count: Durations so far.
        largest: The longest, s, exactly; 0 before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0
        self._smallest = math.inf
        self._bins = array("q", bytes(8 * _BINS))

    def add(self, seconds: float) -> None:
        """Count a duration."""
        i = int(math.log(seconds / _FINEST_S) / _STEP) if seconds > _FINEST_S else 0
        self._bins[min(i, _BINS - 1)] += 1
        self.count += 1
        self.largest = max(self.largest, seconds)
        self._smallest = min(self._smallest, seconds)

    def percentile(self, percent: float) -> float:
        """The smallest duration that at least `percent` of all don't exceed, s, 0.5 % more or less; 0 without any."""
        wanted, seen = percent / 100.0 * self.count, 0
        for i, number in enumerate(self._bins):
            seen += number
            if number and seen >= wanted:
                middle = _FINEST_S * math.exp((i + 0.5) * _STEP)
                return min(max(middle, self._smallest), self.largest)
        return 0.0
