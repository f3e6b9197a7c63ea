"""Count what happens on the bus."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class BusStatistics:
    """Counters since the bus was made.

    Attributes:
        requests: Packets sent that somebody had to answer.
        retries: Requests repeated.
        timeouts: Requests that were not answered completely in time.
        crc_errors: Damaged packets received.
        foreign_replies: Intact packets that were not an answer to the request under way: late, doubled, of another
            servo or another length.
        stray_bytes: Bytes thrown away because they belonged to no packet or came before a request was sent.
        fences: Extra reads that separate a request from late replies to earlier ones.
        fast_fallbacks: Cycles that had to ask again without fast sync read.
        cycles: State cycles.
        last_cycle_s: Duration of the last cycle.
        worst_cycle_s: Duration of the longest one.
        total_cycle_s: Duration of all.
    """

    requests: int = 0
    retries: int = 0
    timeouts: int = 0
    crc_errors: int = 0
    foreign_replies: int = 0
    stray_bytes: int = 0
    fences: int = 0
    fast_fallbacks: int = 0
    cycles: int = 0
    last_cycle_s: float = 0.0
    worst_cycle_s: float = 0.0
    total_cycle_s: float = 0.0

    def count_cycle(self, seconds: float) -> None:
        """Note a finished cycle."""
        self.cycles += 1
        self.last_cycle_s = seconds
        self.worst_cycle_s = max(self.worst_cycle_s, seconds)
        self.total_cycle_s += seconds

    def as_dict(self) -> dict[str, float]:
        """All counters by name."""
        return asdict(self)
