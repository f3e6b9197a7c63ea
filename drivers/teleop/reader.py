"""A device with a thread that reads it, so that nobody else ever waits for it, and that opens it again when it is lost.

opener() -> Connection.read() -> Report -> Meaning -> latest(), pressed()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from drivers.errors import TeleopError
from drivers.teleop.controls import Report
from drivers.teleop.keys import Key
from drivers.teleop.motion import Motion
from drivers.teleop.status import DeviceStatus, State
from trajectories.errors import RegraspError
from trajectories.numbers import NS_PER_S

_POLL_S = 0.1
_JOIN_S = 2.0


class Connection(Protocol):
    """An open device.

    Attributes:
        where: Path, socket or product name.
        trouble: Why it can't deliver although it is open (a daemon without its device), or None.
    """

    where: str
    trouble: str | None

    def read(self, timeout_s: float) -> Report | None:
        """The next report, or None when none came in time.

        Raises:
            TeleopLostError: When the device went away.
        """
        ...

    def close(self) -> None:
        """Release it; never raises."""
        ...


class Meaning(Protocol):
    """What reports mean: `Controls` for axes and buttons, `Follow` for a leader arm. Called under the device's lock."""

    def reset(self, t_ns: int) -> None:
        """Forget every value, but not the keys that were pressed."""
        ...

    def update(self, report: Report, t_ns: int) -> list[Key]:
        """Take a report; returns the keys that it pressed, which are queued as well."""
        ...

    def drain(self) -> list[Key]:
        """Keys pressed since the last call."""
        ...

    def motion(self, now_ns: int) -> Motion:
        """What the person wants now."""
        ...


class ReaderDevice:
    """A `TeleopDevice` on any `Connection`.

    Args:
        name: Kind of device, for people.
        meaning: What its reports mean.
        opener: Opens it; called by `start`, and again from the reader thread after it was lost.
        reconnect_s: Pause between attempts to open it again.
        clock: Monotonic ns.
    """

    def __init__(
        self,
        name: str,
        meaning: Meaning,
        opener: Callable[[], Connection],
        *,
        reconnect_s: float = 0.5,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._name, self._meaning, self._opener = name, meaning, opener
        self._reconnect_s, self._clock = reconnect_s, clock
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._on_key: Callable[[Key], None] | None = None
        self._state, self._where, self._problem = State.CLOSED, "?", "it is not open"
        self._trouble: str | None = None
        self._events, self._reconnects = 0, 0
        self._newest_ns: int | None = None

    def start(self, on_key: Callable[[Key], None] | None = None) -> None:
        """Open the device and read it in the background until `close`, or until the process ends.

        Args:
            on_key: Called from the reader thread for every key at the moment it is pressed, before it is queued for
                `pressed`: for an emergency hold that can't wait for the next control step. It must return at once.

        Raises:
            TeleopError: When there is no such device, it isn't permitted or it is open already.
            MissingDependencyError: When its library is missing.
        """
        if self._thread is not None:
            raise TeleopError(f"The {self._name} is open already; close it first.")
        connection = self._opener()
        self._on_key = on_key
        self._closing.clear()
        self._connected(connection)
        self._thread = threading.Thread(target=self._run, args=(connection,), name=f"teleop-{self._name}", daemon=True)
        self._thread.start()

    def latest(self) -> Motion:
        """What the person wants now; never waits for the device. One reader only: taps count once."""
        with self._lock:
            problem = self._problem if self._state is not State.CONNECTED else self._trouble
            if problem is None:
                return self._meaning.motion(self._clock())
            return Motion(t_ns=self._newest_ns or 0, problem=f"{self._name}: {problem}")

    def pressed(self) -> list[Key]:
        """Session keys pressed since the last call, oldest first."""
        with self._lock:
            return self._meaning.drain()

    @property
    def status(self) -> DeviceStatus:
        """How it is doing."""
        with self._lock:
            age = None if self._newest_ns is None else (self._clock() - self._newest_ns) / NS_PER_S
            problem = self._trouble if self._state is State.CONNECTED else self._problem
            return DeviceStatus(self._name, self._where, self._state, self._events, age, self._reconnects, problem)

    def close(self) -> None:
        """Stop reading and release the device; may be called twice."""
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)
        with self._lock:
            self._state, self._problem = State.CLOSED, "it is not open"

    def __enter__(self) -> ReaderDevice:
        """The device itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # ---- the reader thread --------------------------------------------------------------------------------

    def _run(self, connection: Connection | None) -> None:
        while not self._closing.is_set():
            try:
                if connection is None:
                    connection = self._opener()
                    self._reconnects += 1
                    self._connected(connection)
                self._take(connection, connection.read(_POLL_S))
            except Exception as error:  # whatever a device does, the arm holds and the thread lives on
                if connection is not None:
                    connection.close()
                    connection = None
                self._lost(error)
                self._closing.wait(self._reconnect_s)
        if connection is not None:
            connection.close()

    def _connected(self, connection: Connection) -> None:
        with self._lock:
            self._meaning.reset(self._clock())
            self._state, self._where, self._trouble = State.CONNECTED, connection.where, connection.trouble

    def _take(self, connection: Connection, report: Report | None) -> None:
        keys: list[Key] = []
        with self._lock:
            if connection.trouble is not None and self._trouble is None:
                self._meaning.reset(self._clock())
            self._trouble = connection.trouble
            if report is not None:
                self._newest_ns = self._clock()
                self._events += 1
                keys = self._meaning.update(report, self._newest_ns)
        if self._on_key is not None:
            for key in keys:
                self._on_key(key)

    def _lost(self, error: Exception) -> None:
        said = str(error) if isinstance(error, RegraspError) else f"{type(error).__name__}: {error}"
        with self._lock:
            self._state, self._problem = State.LOST, said
