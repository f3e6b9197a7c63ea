"""Measure how regularly the control loop runs."""

from __future__ import annotations

import math
from array import array
from dataclasses import asdict, dataclass

from drivers.dynamixel.wire import BusStatistics
from trajectories.numbers import NS_PER_S

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


ORDINARY = "ordinary"


@dataclass(frozen=True)
class LoopReport:
    """The loop's figures since its start; percentiles are exact to 0.5 %.

    Attributes:
        cycles: Control cycles.
        missed: Cycles left out because one took too long.
        incomplete: Cycles in which a servo didn't answer.
        period_p50_s: Median time between the starts of cycles.
        period_p99_s: The same, 99th percentile.
        period_max_s: The longest.
        late_p50_s: Median time from when a cycle was due to its start; those that were left out count as late.
        late_p99_s: 99th percentile.
        late_max_s: The longest.
        work_p50_s: Median duration of a cycle.
        work_p99_s: 99th percentile.
        bus_retries: Requests that had to be repeated.
        bus_timeouts: Requests that were not answered completely.
        crc_errors: Damaged packets.
        priority: Of the loop on the processor, in words.
    """

    cycles: int
    missed: int
    incomplete: int
    period_p50_s: float
    period_p99_s: float
    period_max_s: float
    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    work_p50_s: float
    work_p99_s: float
    bus_retries: int
    bus_timeouts: int
    crc_errors: int
    priority: str = ORDINARY

    def as_dict(self) -> dict[str, float | str]:
        """All figures by name."""
        return asdict(self)


class LoopStatistics:
    """Counters and durations.

    Attributes:
        missed, incomplete, priority: See `LoopReport`.
    """

    def __init__(self) -> None:
        self.missed = self.incomplete = 0
        self.priority = ORDINARY
        self._last_ns: int | None = None
        self._periods, self._works, self._lates = Histogram(), Histogram(), Histogram()

    def start(self, late_ns: int) -> None:
        """Note that a cycle starts so much later than it was due."""
        self._lates.add(max(late_ns, 0) / NS_PER_S)

    def count(self, start_ns: int, end_ns: int) -> None:
        """Note a finished cycle."""
        if self._last_ns is not None:
            self._periods.add((start_ns - self._last_ns) / NS_PER_S)
        self._last_ns = start_ns
        self._works.add((end_ns - start_ns) / NS_PER_S)

    def report(self, bus: BusStatistics) -> LoopReport:
        """The figures, with the bus' counters."""
        periods, lates, works = self._periods, self._lates, self._works
        return LoopReport(
            cycles=works.count,
            missed=self.missed,
            incomplete=self.incomplete,
            period_p50_s=periods.percentile(50),
            period_p99_s=periods.percentile(99),
            period_max_s=periods.largest,
            late_p50_s=lates.percentile(50),
            late_p99_s=lates.percentile(99),
            late_max_s=lates.largest,
            work_p50_s=works.percentile(50),
            work_p99_s=works.percentile(99),
            bus_retries=bus.retries,
            bus_timeouts=bus.timeouts,
            crc_errors=bus.crc_errors,
            priority=self.priority,
        )
