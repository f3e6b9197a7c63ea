"""Raw `input_event` structs of the Linux kernel from any file descriptor (Documentation/input/event-codes.rst).

Events take effect together at SYN_REPORT. After SYN_DROPPED, when the kernel's buffer ran over, everything up to the
next SYN_REPORT is thrown away and the state is asked for anew; what can't be asked counts as let go.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from drivers.errors import TeleopLostError
from drivers.teleop.controls import Report
from drivers.teleop.input_codes import (
    ABSOLUTE,
    ABSOLUTE_NAMES,
    EV_ABS,
    EV_KEY,
    EV_SYN,
    KEY_NAMES,
    SYN_DROPPED,
    SYN_REPORT,
)

INPUT_EVENT = struct.Struct("@llHHi")
"""Seconds, microseconds, type, code, value; as wide as this machine's long."""
_READ_EVENTS = 64

Range = tuple[int, int]
"""Smallest and largest value of an absolute axis."""


class InputNode(Protocol):
    """Where events come from: a device of the kernel, or a pipe in its place.

    Attributes:
        where: For people.
    """

    where: str

    def fileno(self) -> int:
        """Descriptor that delivers `input_event` structs."""
        ...

    def ranges(self) -> Mapping[str, Range]:
        """Ranges of the absolute axes that it tells; empty when it can't."""
        ...

    def state(self) -> Mapping[str, int]:
        """Raw values of every axis, and 1 for every button that is held; empty when it can't tell.

        Raises:
            OSError: When the device went away.
        """
        ...

    def close(self) -> None:
        """Release it."""
        ...


class PipeNode:
    """A file descriptor without a device behind it."""

    def __init__(self, descriptor: int, where: str = "pipe") -> None:
        self.where, self._descriptor = where, descriptor

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def ranges(self) -> Mapping[str, Range]:
        """None are known."""
        return {}

    def state(self) -> Mapping[str, int]:
        """Nothing is known."""
        return {}

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class EventConnection:
    """A `Connection` on an `InputNode`.

    Args:
        node: Where events come from; closed with this.
        scale: Turns the raw value of a control into -1 ... 1, or None for controls that nobody knows.
    """

    def __init__(self, node: InputNode, scale: Callable[[str, int], float | None]) -> None:
        self.where = node.where
        self.trouble: str | None = None
        self._node, self._scale = node, scale
        self._rest = b""
        self._batch: list[tuple[str, float]] = []
        self._seen: dict[str, float] = {}
        self._dropped = False
        self._waiting: list[Report] = []
        try:
            known = self._known()
        except TeleopLostError:
            node.close()
            raise
        # What is deflected now is believed; buttons that are held count once they are pressed anew.
        self._seen.update({name: value for name, value in known.items() if name in ABSOLUTE})
        if self._seen:
            self._waiting.append(tuple(self._seen.items()))
        self._poll = select.poll()
        self._poll.register(node.fileno(), select.POLLIN)

    def read(self, timeout_s: float) -> Report | None:
        """The next report, or None.

        Raises:
            TeleopLostError: When the device was unplugged or the pipe ended.
        """
        if self._waiting:
            return self._waiting.pop(0)
        if not self._poll.poll(timeout_s * 1000):
            return None
        try:
            data = os.read(self._node.fileno(), _READ_EVENTS * INPUT_EVENT.size)
        except BlockingIOError:
            return None
        except OSError as error:  # ENODEV when it is unplugged
            raise TeleopLostError(f"{self.where} went away ({error.strerror}); plug it in again.") from error
        if not data:
            raise TeleopLostError(f"{self.where} ended; open it again.")
        self._parse(self._rest + data)
        return self._waiting.pop(0) if self._waiting else None

    def close(self) -> None:
        """Release the device."""
        self._node.close()

    def _parse(self, data: bytes) -> None:
        whole = len(data) - len(data) % INPUT_EVENT.size
        self._rest = data[whole:]
        for _, _, kind, code, value in INPUT_EVENT.iter_unpack(data[:whole]):
            if kind == EV_SYN:
                self._synchronise(code)
            else:
                self._add(kind, code, value)

    def _synchronise(self, code: int) -> None:
        if code == SYN_DROPPED:
            self._dropped = True
            self._batch = []
        elif code == SYN_REPORT:
            if self._dropped:
                self._dropped = False
                self._batch = list((dict.fromkeys(self._seen, 0.0) | self._known()).items())
            if self._batch:
                self._seen.update(self._batch)
                self._waiting.append(tuple(self._batch))
                self._batch = []

    def _add(self, kind: int, code: int, value: int) -> None:
        name = KEY_NAMES.get(code) if kind == EV_KEY else ABSOLUTE_NAMES.get(code) if kind == EV_ABS else None
        scaled = None if name is None else self._scale(name, value)
        if name is not None and scaled is not None:
            self._batch.append((name, scaled))

    def _known(self) -> dict[str, float]:
        """What the device says of itself now."""
        try:
            state = self._node.state()
        except OSError as error:
            raise TeleopLostError(f"{self.where} went away ({error.strerror}); plug it in again.") from error
        scaled = {name: self._scale(name, value) for name, value in state.items()}
        return {name: value for name, value in scaled.items() if value is not None}
