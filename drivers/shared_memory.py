"""Share memory between two processes: anonymous files, and messages that are read whole and without waiting.

The memory is an anonymous file (`memfd_create(2)`). It has no name that could be left behind: the kernel frees it
when the last process that maps it ends, however that ends, so there is nothing to clean up after `kill -9` and no
resource tracker is involved (`multiprocessing.shared_memory` in Python 3.11 registers whoever attaches, and the
tracker of a killed child would remove its parent's memory).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading

import numpy as np

from trajectories.errors import DeviceError

_LINE = 128  # bytes; keeps messages off the cache lines of the counters
_HEAD = 16  # bytes before each message: its number and its length
_SLOTS = 4
_RETRIES = 1000
_lock = threading.Lock()


def fence() -> None:
    """Order memory accesses: x86 keeps stores in order by itself, for ARM taking a lock twice is a full barrier."""
    with _lock:
        pass
    with _lock:
        pass


def create_memory(name: str, length: int) -> int:
    """Descriptor of `length` zero bytes that nobody can shorten; `name` is for people who look into /proc."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, length)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


class Mailbox:
    """The newest of a row of messages: one process writes, any number read, nobody waits for anybody.

    A slot's number is negative while it is written and the message's number when it is whole; a reader looks at it
    before and after its copy and takes the newest message if it changed. A writer that is stopped or killed half-way
    leaves the message before as it was, and its successor writes over the broken slot.

    Args:
        memory: Shared memory, zero at the start.
        offset: Where in it, a multiple of 8.
        capacity: Longest message, bytes, a multiple of 8.
    """

    def __init__(self, memory: mmap.mmap, offset: int, capacity: int) -> None:
        self._view = memoryview(memory)[offset : offset + self.size(capacity)]
        self._written = np.frombuffer(self._view, np.int64, 1)
        self._starts = [_LINE + i * (_HEAD + capacity) for i in range(_SLOTS)]
        self._heads = [np.frombuffer(self._view, np.int64, 2, start) for start in self._starts]
        self._capacity = capacity

    @staticmethod
    def size(capacity: int) -> int:
        """Bytes of memory that a mailbox for messages of `capacity` bytes takes."""
        return _LINE + _SLOTS * (_HEAD + capacity)

    @property
    def number(self) -> int:
        """Number of the newest message; 0 before the first."""
        return int(self._written[0])

    def write(self, message: bytes) -> int:
        """Publish a message; returns its number, 1 for the first.

        Raises:
            DeviceError: When it is longer than the mailbox takes.
        """
        if len(message) > self._capacity:
            raise DeviceError(
                f"A message of {len(message)} bytes doesn't fit into shared memory for {self._capacity}. This is a "
                "bug: report it."
            )
        number = int(self._written[0]) + 1
        i = number % _SLOTS
        head, start = self._heads[i], self._starts[i] + _HEAD
        head[0] = -number
        fence()
        head[1] = len(message)
        self._view[start : start + len(message)] = message
        fence()
        head[0] = number
        fence()
        self._written[0] = number
        return number

    def newest(self) -> tuple[int, bytes] | None:
        """Number and content of the newest message, None before the first.

        Raises:
            DeviceError: When the writer is faster than this reader.
        """
        for _ in range(_RETRIES):
            number = int(self._written[0])
            if number == 0:
                return None
            fence()
            i = number % _SLOTS
            head, start = self._heads[i], self._starts[i] + _HEAD
            if head[0] != number:
                continue
            message = bytes(self._view[start : start + min(int(head[1]), self._capacity)])
            fence()
            if head[0] == number:
                return number, message
        raise DeviceError(f"The writer overtook this reader {_RETRIES} times in a row; is the computer overloaded?")
