"""Send requests, pick their answers from the packets that come back, and handle missing answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from drivers.dynamixel import messages
from drivers.dynamixel.messages import (
    JOINT_BYTES,
    REFUSAL_TEXTS,
    STATUS_BYTES,
    Refusal,
    Status,
    as_status,
    split_fast,
)
from drivers.dynamixel.packet import BROADCAST, FIXED_BYTES, LARGEST_ID, Packet
from drivers.dynamixel.port import Port
from drivers.dynamixel.wire import BusStatistics, Wire
from drivers.errors import PacketError, ServoRefusedError, ServoTimeoutError
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S

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


LARGEST_RETRIES = 2
_FENCE_ADDRESS = 168
_FENCE_LENGTHS = range(29, 61)
"""A fence reads indirect registers: there all bytes are defined in every model. Nobody else reads such lengths."""
_FENCE_PAUSE_S = 0.01
_JOINT_HEAD_BYTES = 8
PING_BYTES = 3
_ROLL_CALL_S = 0.772
"""Time for the servos to take turns, besides that of the bytes: 3 ms an id, as dynamixel_sdk 4.1.0 allows."""


class Transactions:
    """Asks servos and takes only the right answer for one.

    Right is a reply of the servo asked with as many data bytes as asked for, received after the request was sent. After
    a missing answer the servo is first asked something else (a fence), so that the late reply can't pass for the
    answer to a later request.

    Args:
        open_port: Opens the line; called now and by `reopen`.
        baud: Bits per second.
        latency_s: Longest time that computer and adapter add to a reply.
        return_delay_s: Longest return delay of the servos.
        retries: Repetitions of an unanswered request, at most two.
        clock: Monotonic ns.

    Attributes:
        alerts: Servos whose last reply had the alert bit.
        statistics: Counters.

    Raises:
        PortError: When the port can't be opened.
        ConfigError: When a number makes no sense.
    """

    def __init__(
        self,
        open_port: Callable[[], Port],
        *,
        baud: int,
        latency_s: float,
        return_delay_s: float,
        retries: int,
        clock: Callable[[], int],
    ) -> None:
        if not 0 <= retries <= LARGEST_RETRIES:
            raise ConfigError(f"retries must be 0 ... {LARGEST_RETRIES}, got {retries!r}.")
        if baud <= 0 or latency_s <= 0 or return_delay_s < 0:
            raise ConfigError(f"baud and latency_s must be above 0, got {baud!r}, {latency_s!r}, {return_delay_s!r}.")
        self.alerts: set[int] = set()
        self.statistics = BusStatistics()
        self.retries = retries
        self.clock = clock
        self._connect: Callable[[], Wire] = lambda: Wire(
            open_port(),
            baud=baud,
            latency_s=latency_s,
            return_delay_s=return_delay_s,
            clock=clock,
            statistics=self.statistics,
        )
        self._owed = LateReplies()
        self._wire = self._connect()

    @property
    def sent_ns(self) -> int:
        """When the last byte of the last request left: the time that its readings belong to."""
        return self._wire.sent_ns

    @property
    def port_name(self) -> str:
        """Name of the line, for messages."""
        return self._wire.port.name

    def close(self) -> None:
        """Release the port."""
        self._wire.port.close()

    def reopen(self) -> None:
        """Open the port anew.

        Raises:
            PortError: When it isn't there.
        """
        self.close()
        self._wire = self._connect()
        self.alerts.clear()

    def tell(self, request: bytes) -> None:
        """Send what nobody answers."""
        self._wire.tell(request)

    def ask(self, servo: int, request: bytes, length: int, what: str, budget_s: float | None = None) -> Status:
        """Ask one servo, with repetitions.

        Args:
            servo: Its id.
            request: Packet to send.
            length: Data bytes of the right answer.
            what: Names the request in messages.
            budget_s: No repetition starts that would take longer than this in all.

        Raises:
            ServoTimeoutError: Without an answer.
            ServoRefusedError: When the servo refuses.
            PortLostError: Without port.
        """
        if not 0 <= servo <= LARGEST_ID:
            raise PacketError(f"A servo's id is 0 ... {LARGEST_ID}, got {servo}.")
        patience = self._wire.patience_ns(len(request), STATUS_BYTES + length, 1)
        give_up = None if budget_s is None else self.clock() + round(budget_s * NS_PER_S)
        for attempt in range(1 + self.retries):
            if attempt:
                if give_up is not None and self.clock() + patience > give_up:
                    break
                self.statistics.retries += 1
            if not self._unmistakable(servo):
                continue
            status = self._ask_once(servo, request, length)
            if status is None or status.refusal == Refusal.CRC:
                continue
            if status.refusal:
                raise _refusal(status, what)
            return status
        raise self.silence([servo], what)

    def gather(self, servos: Sequence[int], address: int, length: int, fast: bool = False) -> dict[int, Status]:
        """One sync read without repetition: the replies that came, possibly none.

        The caller sees to it that `length` tells these replies from late ones (`distinct_length` or `fence`).
        """
        request = messages.sync_read(servos, address, length, fast)
        return self._collect(request, dict.fromkeys(servos, length), fast)

    def _collect(self, request: bytes, lengths: Mapping[int, int], fast: bool) -> dict[int, Status]:
        """Send a request to several servos and take the replies that came.

        Args:
            request: Packet to send.
            lengths: Servo -> bytes asked of it, in the order asked.
            fast: Whether one joint reply is due.
        """
        replies: dict[int, Status] = {}
        statistics = self.statistics

        def take_single(packet: Packet) -> bool:
            status = as_status(packet)
            if status is None or status.refusal or lengths.get(status.servo) != len(status.data):
                statistics.foreign_replies += 1
                return False
            if replies.setdefault(status.servo, status) is not status:
                statistics.foreign_replies += 1
            return len(replies) == len(lengths)

        def take_joint(packet: Packet) -> bool:
            found = split_fast(packet, lengths) if packet.is_fast else None
            if found is None:
                statistics.foreign_replies += 1
                return False
            replies.update((status.servo, status) for status in found)
            return True

        size = sum(lengths.values())
        if fast:
            answered = self._wire.ask(request, _JOINT_HEAD_BYTES + size + len(lengths) * JOINT_BYTES, 1, take_joint)
            if answered:
                self._owed.settle(BROADCAST)
            else:  # of different lengths it could pass for a joint reply of any length between them
                for length in range(min(lengths.values()), max(lengths.values()) + 1):
                    self._owed.add(BROADCAST, length, self.clock())
        elif not self._wire.ask(request, size + len(lengths) * STATUS_BYTES, len(lengths), take_single):
            now = self.clock()
            for servo, length in lengths.items():
                self._owed.add(servo, length, now)
        for status in replies.values():
            self._accept(status)
        return {servo: status for servo, status in replies.items() if not status.refusal}

    def patience_ns(self, servos: int, length: int) -> int:
        """Longest time that `gather` takes with so many servos and bytes each, without fast sync read."""
        return self._wire.patience_ns(FIXED_BYTES + 4 + servos, servos * (STATUS_BYTES + length), servos)

    def distinct_length(self, servos: Sequence[int], choices: Iterable[int], fast: bool) -> int | None:
        """The first of `choices` whose replies can't be mistaken for late ones, or None."""
        return self._owed.distinct((BROADCAST,) if fast else servos, choices, self.clock())

    def fence(self, servos: Iterable[int]) -> list[int]:
        """Separate coming requests from late replies; returns the servos for which that worked."""
        return [servo for servo in servos if self._unmistakable(servo)]

    def broadcast_ping(self) -> dict[int, Status]:
        """Ping every servo at once; the replies that came. Takes most of a second, however many there are."""
        replies: dict[int, Status] = {}

        def take(packet: Packet) -> None:
            status = as_status(packet)
            if status is None or len(status.data) != PING_BYTES:
                self.statistics.foreign_replies += 1
            else:
                replies[status.servo] = status

        self._wire.poll(messages.ping(BROADCAST), (LARGEST_ID + 1) * (STATUS_BYTES + PING_BYTES), _ROLL_CALL_S, take)
        return replies

    def wait(self, seconds: float) -> None:
        """Let time pass, throwing away what arrives."""
        self._wire.listen(seconds)

    def silence(self, servos: Sequence[int], what: str) -> ServoTimeoutError:
        """The error for servos that didn't answer."""
        who = f"Servo {servos[0]}" if len(servos) == 1 else f"Servos {', '.join(map(str, servos))}"
        return ServoTimeoutError(
            f"{who} didn't answer (to: {what}) on {self.port_name}, up to {self.retries} repetitions included. Check "
            "power, cables, baud rate and ids; writes are only answered with status return level 2.",
            tuple(servos),
        )

    def _ask_once(self, servo: int, request: bytes, length: int, refusals: bool = True) -> Status | None:
        """Ask without repetition; a refusal counts as an answer only with `refusals`."""
        answer: list[Status] = []

        def take(packet: Packet) -> bool:
            status = as_status(packet)
            if (
                status is None
                or status.servo != servo
                or len(status.data) != (0 if status.refusal and refusals else length)
            ):
                self.statistics.foreign_replies += 1
                return False
            answer.append(status)
            return True

        if not self._wire.ask(request, STATUS_BYTES + length, 1, take):
            self._owed.add(servo, length, self.clock())
            return None
        return self._accept(answer[0])

    def _unmistakable(self, servo: int) -> bool:
        """Make sure that no late reply of `servo` can pass for the next one; False when it stays silent."""
        owed = self._owed.lengths(servo, self.clock())
        if not owed:
            return True
        length = next((length for length in _FENCE_LENGTHS if length not in owed), None)
        if length is None:  # silent for long; by and by its replies count as lost and lengths become free again
            self.wait(_FENCE_PAUSE_S)
            return False
        self.statistics.fences += 1
        request = messages.read(servo, _FENCE_ADDRESS, length)
        return self._ask_once(servo, request, length, refusals=False) is not None

    def _accept(self, status: Status) -> Status:
        self._owed.settle(status.servo)
        if status.alert:
            self.alerts.add(status.servo)
        else:
            self.alerts.discard(status.servo)
        return status


def _refusal(status: Status, what: str) -> ServoRefusedError:
    known = {int(refusal): text for refusal, text in REFUSAL_TEXTS.items()}
    reason = known.get(status.refusal, f"error number {status.refusal}")
    return ServoRefusedError(f"Servo {status.servo} refused the {what}: {reason}.", status.servo, status.refusal)
