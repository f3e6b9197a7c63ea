"""How regularly the control loop runs."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass

import numpy as np

_KEPT = 2000


@dataclass(frozen=True)
class LoopReport:
    """The loop's figures.

    Attributes:
        cycles: Since the start.
        missed: Cycles left out because one took too long.
        incomplete: Cycles in which a servo didn't answer.
        period_p50_s: Median time between the starts of cycles, of the last 2000.
        period_p99_s: The same, 99th percentile.
        work_p50_s: Median duration of a cycle.
        work_p99_s: 99th percentile.
        bus_retries: Requests that had to be repeated.
        bus_timeouts: Requests that were not answered completely.
        crc_errors: Damaged packets.
    """

    cycles: int
    missed: int
    incomplete: int
    period_p50_s: float
    period_p99_s: float
    work_p50_s: float
    work_p99_s: float
    bus_retries: int
    bus_timeouts: int
    crc_errors: int

    def as_dict(self) -> dict[str, float]:
        """All figures by name."""
        return asdict(self)


class LoopStatistics:
    """Counters and the newest durations.

    Attributes:
        cycles, missed, incomplete: See `LoopReport`.
    """

    def __init__(self) -> None:
        self.cycles = self.missed = self.incomplete = 0
        self._starts: deque[int] = deque(maxlen=_KEPT)
        self._works: deque[int] = deque(maxlen=_KEPT)

    def count(self, start_ns: int, end_ns: int) -> None:
        """Note a finished cycle."""
        self.cycles += 1
        self._starts.append(start_ns)
        self._works.append(end_ns - start_ns)

    def report(self, retries: int, timeouts: int, crc_errors: int) -> LoopReport:
        """The figures, with the bus' counters."""
        starts = np.array(tuple(self._starts), dtype=np.int64)
        periods = np.diff(starts) / 1e9 if len(starts) > 1 else np.zeros(1)
        works = np.array(tuple(self._works) or (0,), dtype=np.int64) / 1e9
        p50, p99 = np.percentile(periods, (50, 99))
        w50, w99 = np.percentile(works, (50, 99))
        return LoopReport(
            self.cycles, self.missed, self.incomplete, float(p50), float(p99), float(w50), float(w99), retries,
            timeouts, crc_errors,
        )  # fmt: skip
