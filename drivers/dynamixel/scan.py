"""Which servos are on a line, whatever baud rate they are set to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from drivers.dynamixel.bus import DynamixelBus, Identity
from drivers.dynamixel.port import Port
from drivers.errors import PortError, ServoTimeoutError

RATES = (1_000_000, 57_600, 115_200, 2_000_000, 3_000_000, 4_000_000, 9600)
"""Likeliest first: that of the arms, then the servos' factory setting."""


@dataclass(frozen=True)
class Answers:
    """Who answers at one baud rate.

    Attributes:
        baud: Bits per second.
        servos: Id -> model and firmware.
        damaged: Replies that arrived damaged, as those of two servos with the same id do.
    """

    baud: int
    servos: Mapping[int, Identity]
    damaged: int


def scan(
    open_at: Callable[[int], Port],
    rates: Iterable[int] = RATES,
    expected: Iterable[int] = (),
    clock: Callable[[], int] = time.monotonic_ns,
) -> Iterator[Answers]:
    """Ping every servo at one baud rate after the other; a rate takes 0.8 s, at 9600 bits per second 4.5 s.

    Args:
        open_at: Opens the line at a baud rate.
        rates: Bits per second, in this order. Those that the adapter can't do are left out.
        expected: Ids that are pinged one by one as well when they stay silent among all others.
        clock: Monotonic ns.

    Yields:
        The answers of every rate, as soon as they are there; a caller that found what it looked for may stop.

    Raises:
        PortError: When the port can't be opened at all.
        PortLostError: When it goes away.
    """
    opened = False
    for baud in rates:
        try:
            bus = DynamixelBus(lambda: open_at(baud), baud=baud, retries=0, clock=clock)  # noqa: B023, opened at once
        except PortError:
            if not opened:
                raise
            continue
        opened = True
        try:
            yield Answers(baud, _ask_all(bus, expected), bus.statistics.crc_errors)
        finally:
            bus.close()


def _ask_all(bus: DynamixelBus, expected: Iterable[int]) -> dict[int, Identity]:
    found = bus.broadcast_ping()
    for servo in expected:
        if servo not in found:
            try:
                found[servo] = bus.ping(servo)
            except ServoTimeoutError:
                continue
    return dict(sorted(found.items()))
