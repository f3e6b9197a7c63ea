"""`Emulator`: what `tc netem` does to packets between two interfaces, also on a kernel that has no netem."""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_TUN = Path("/dev/net/tun")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_QUEUE = 1000
"""Packets that wait in a direction at most, netem's `limit`."""
_MOST = 65536


@dataclass(frozen=True)
class Netem:
    """What happens to each packet of a direction, as with netem's options of these names.

    Attributes:
        delay_s: Until it comes out.
        jitter_s: By how much the delay is longer or shorter, drawn evenly: later packets overtake it.
        loss: Share that never comes out.
        reorder: Share that isn't delayed, and so overtakes those before it.
        rate_bit_s: Of the line; 0: any. At most 1000 packets wait for it.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    rate_bit_s: float = 0.0


def _open_tun(name: str) -> int:
    """Make an interface whose packets are read from and written to the file that is returned.

    Raises:
        OSError: This machine has no TUN devices, or this account may not make any.
    """
    file = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(file)
        raise
    return file


class Emulator:
    """Carries packets between two interfaces, from a thread of its own, until `close`.

    Attributes:
        netem: What it does to both directions; may be replaced at any time.
        sent: Bytes that each interface has put on the wire, IP headers included, those of lost packets, too.
    """

    def __init__(self, names: tuple[str, str], seed: int = 0) -> None:
        """Make both interfaces and begin to carry.

        Args:
            names: Of the interfaces, 15 characters at most; they may be moved to other namespaces.
            seed: Of the draws.

        Raises:
            OSError: This machine has no TUN devices, or this account may not make any.
        """
        self.netem, self.sent = Netem(), [0, 0]
        first = _open_tun(names[0])
        try:
            self._files = (first, _open_tun(names[1]))
        except OSError:
            os.close(first)
            raise
        self._draw, self._number = random.Random(seed), itertools.count()
        self._waiting: list[tuple[float, int, int, bytes]] = []  # when, number, direction, packet
        self._queued, self._line_free_s = [0, 0], [0.0, 0.0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Carry no more."""
        self._stop.set()
        self._thread.join()
        for file in self._files:
            os.close(file)

    def _carry(self) -> None:
        poll = select.poll()
        for file in self._files:
            poll.register(file, select.POLLIN)
        directions = {file: number for number, file in enumerate(self._files)}
        while not self._stop.is_set():
            now = time.monotonic()
            wait_s = min(0.1, self._waiting[0][0] - now) if self._waiting else 0.1
            for file, _ in poll.poll(max(0.0, 1e3 * wait_s)):
                self._take(directions[file])
            self._give()

    def _take(self, direction: int) -> None:
        """Every packet that an interface has sent."""
        netem = self.netem
        for _ in range(_QUEUE):
            try:
                packet = os.read(self._files[direction], _MOST)
            except (BlockingIOError, OSError):
                return
            self.sent[direction] += len(packet)
            if self._queued[direction] >= _QUEUE or self._draw.random() < netem.loss:
                continue
            when = now = time.monotonic()
            if netem.rate_bit_s:
                when = max(now, self._line_free_s[direction]) + 8 * len(packet) / netem.rate_bit_s
                self._line_free_s[direction] = when
            if not (netem.reorder and self._draw.random() < netem.reorder):
                when += max(0.0, netem.delay_s + self._draw.uniform(-netem.jitter_s, netem.jitter_s))
            self._queued[direction] += 1
            heapq.heappush(self._waiting, (when, next(self._number), direction, packet))

    def _give(self) -> None:
        """Every packet that is due."""
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, direction, packet = heapq.heappop(self._waiting)
            self._queued[direction] -= 1
            try:
                os.write(self._files[1 - direction], packet)
            except OSError:  # the interface is down, or its queue full: lost, as on a wire
                continue
