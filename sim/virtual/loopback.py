"""A port straight to a virtual bus, in the same thread, with a clock that only moves when somebody waits."""

from __future__ import annotations

from drivers.dynamixel.port import PortLostError
from sim.virtual.bus import VirtualBus


class VirtualTime:
    """Monotonic ns that stand still until somebody sleeps."""

    def __init__(self, now_ns: int = 1_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """The present."""
        return self._now_ns

    def sleep_until_ns(self, t_ns: int) -> None:
        """Move on to `t_ns`, unless that is past."""
        self._now_ns = max(self._now_ns, t_ns)


class LoopbackPort:
    """A `drivers.dynamixel.port.Port` whose other end is a virtual bus. Deterministic: tests need no real time.

    Args:
        bus: The other end.
        time: The clock of both.
        byte_ns: Clock ticks that a written byte takes.

    Attributes:
        unplugged: Set it to pull the plug.
    """

    def __init__(self, bus: VirtualBus, time: VirtualTime, byte_ns: int = 0) -> None:
        self.name = "loopback"
        self.unplugged = False
        self._bus = bus
        self._time = time
        self._byte_ns = byte_ns

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self._check()
        self._time.sleep_until_ns(self._time.now_ns() + len(data) * self._byte_ns)
        self._bus.receive(data, self._time.now_ns())

    def read(self, deadline_ns: int) -> bytes:
        """What arrived, moving the clock until something does or to the deadline."""
        self._check()
        due = self._bus.next_due_ns()
        self._time.sleep_until_ns(deadline_ns if due is None else min(due, deadline_ns))
        self._bus.advance(self._time.now_ns())
        return self._bus.send(self._time.now_ns())

    def drain(self) -> int:
        """Throw away what arrived so far."""
        self._check()
        return len(self._bus.send(self._time.now_ns()))

    def close(self) -> None:
        """Nothing to release."""

    def _check(self) -> None:
        if self.unplugged:
            raise PortLostError(f"Port {self.name} went away (unplugged). Check the USB cable, then reopen it.")
