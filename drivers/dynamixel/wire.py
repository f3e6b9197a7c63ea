"""Send one request and collect the packets that come back before its deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from drivers.dynamixel.packet import Packet, Parser
from drivers.dynamixel.port import Port
from trajectories.numbers import NS_PER_S


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


BITS_PER_BYTE = 10
_QUIET_S = 0.001
_LONGEST_DRAIN_S = 0.02

Take = Callable[[Packet], bool]
"""Told of every packet; returns whether the answer is complete."""


class Wire:
    """Sends requests and collects answers.

    Whatever arrived before a request is thrown away before it is sent; after an unanswered one the line is emptied
    until it is quiet. Waiting blocks; the deadline follows from the number of bytes, the baud rate, the servos' return
    delay and the latency of the computer and its adapter.

    Args:
        port: An open port.
        baud: Bits per second.
        latency_s: Longest time that computer and adapter add.
        return_delay_s: Longest time between request and reply of a servo (register 9; factory setting 0.5 ms).
        clock: Monotonic ns.
        statistics: Counted into.
    """

    def __init__(
        self,
        port: Port,
        *,
        baud: int,
        latency_s: float,
        return_delay_s: float,
        clock: Callable[[], int],
        statistics: BusStatistics,
    ) -> None:
        self.port = port
        self.statistics = statistics
        self.sent_ns = 0
        self._byte_ns = BITS_PER_BYTE * NS_PER_S / baud
        self._latency_ns = latency_s * NS_PER_S
        self._return_delay_ns = return_delay_s * NS_PER_S
        self._clock = clock
        self._parser = Parser()

    def patience_ns(self, sent_bytes: int, reply_bytes: int, replies: int) -> int:
        """Longest time from sending a request to the last byte of its answer."""
        on_the_wire = (sent_bytes + reply_bytes) * self._byte_ns
        return round(on_the_wire + replies * self._return_delay_ns + self._latency_ns)

    def tell(self, request: bytes) -> None:
        """Send a request that nobody answers."""
        self._empty()
        self.port.write(request)

    def ask(self, request: bytes, reply_bytes: int, replies: int, take: Take) -> bool:
        """Send a request and pass what comes back to `take`.

        Args:
            request: Packet to send.
            reply_bytes: Bytes of the complete answer.
            replies: Packets of the complete answer.
            take: See `Take`.

        Returns:
            Whether `take` called the answer complete before the deadline.
        """
        self._empty()
        statistics, parser = self.statistics, self._parser
        statistics.requests += 1
        self.port.write(request)
        sent = self._clock()
        self.sent_ns = sent + round(len(request) * self._byte_ns)
        deadline = sent + self.patience_ns(len(request), reply_bytes, replies)
        damaged = parser.crc_errors
        complete = False
        while not complete:
            data = self.port.read(deadline)
            if not data:
                break
            for packet in parser.feed(data):
                if complete:
                    statistics.foreign_replies += 1
                elif take(packet):
                    complete = True
            if replies == 1 and parser.crc_errors > damaged and not parser.pending:
                break
        self.sent_ns = min(self.sent_ns, self._clock())
        if not complete:
            statistics.timeouts += 1
            self._settle()
        self._count()
        return complete

    def poll(self, request: bytes, reply_bytes: int, seconds: float, take: Callable[[Packet], None]) -> None:
        """Send a request that any number of servos may answer, and pass on what comes until time is up.

        Args:
            request: Packet to send.
            reply_bytes: Bytes of all possible answers.
            seconds: Time besides that of the bytes.
            take: Told of every packet.
        """
        self._empty()
        self.statistics.requests += 1
        self.port.write(request)
        deadline = self._clock() + self.patience_ns(len(request), reply_bytes, 0) + round(seconds * NS_PER_S)
        while data := self.port.read(deadline):
            for packet in self._parser.feed(data):
                take(packet)
        self._count()

    def listen(self, seconds: float) -> None:
        """Throw away what arrives for a while."""
        end = self._clock() + round(seconds * NS_PER_S)
        while self._clock() < end:
            self.statistics.stray_bytes += len(self.port.read(end))

    def _empty(self) -> None:
        """Throw away what arrived before now."""
        self.statistics.stray_bytes += self.port.drain() + self._parser.reset()

    def _settle(self) -> None:
        """Throw away what still arrives until the line is quiet."""
        self.statistics.stray_bytes += self._parser.reset()
        give_up = self._clock() + round(_LONGEST_DRAIN_S * NS_PER_S)
        while self._clock() < give_up:
            data = self.port.read(self._clock() + round(_QUIET_S * NS_PER_S))
            if not data:
                return
            self.statistics.stray_bytes += len(data)

    def _count(self) -> None:
        parser, statistics = self._parser, self.statistics
        statistics.crc_errors += parser.crc_errors
        statistics.stray_bytes += parser.stray_bytes
        parser.crc_errors = parser.stray_bytes = 0
