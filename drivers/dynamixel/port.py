"""`Port`, the interface to a serial port, and its implementation over pyserial."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from drivers.errors import PortError, PortLostError
from trajectories.errors import MissingDependencyError

if TYPE_CHECKING:
    import serial

BY_ID = Path("/dev/serial/by-id")
__all__ = ["Port", "PortError", "PortLostError", "SerialPort", "find_port"]
_CHUNK = 4096
_WRITE_PATIENCE_S = 0.2
_LOST = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Port(Protocol):
    """A half-duplex line to the servos. Every method raises `PortLostError` once it went away."""

    name: str

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...

    def read(self, deadline_ns: int) -> bytes:
        """What arrived, waiting for it until `deadline_ns` (monotonic); empty at the deadline."""
        ...

    def drain(self) -> int:
        """Throw away what arrived so far; returns how many bytes."""
        ...

    def close(self) -> None:
        """Release the port; may be called twice."""
        ...


def find_port(name: str, by_id: Path = BY_ID) -> str:
    """Path of a serial port.

    Args:
        name: A path, or a part of a name in /dev/serial/by-id that only one port has (these names stay the same
            when the port is plugged in again).
        by_id: Folder of those names.

    Raises:
        PortError: When there is none or more than one.
    """
    if "/" in name:
        if not os.path.exists(name):
            raise _missing(name, by_id)
        return name
    matches = sorted(path for path in by_id.glob("*") if name in path.name) if by_id.is_dir() else []
    if len(matches) != 1:
        found = "no port" if not matches else f"{len(matches)} ports ({', '.join(path.name for path in matches)})"
        raise PortError(f"{name!r} fits {found} in {by_id}; there are {_present(by_id)}. Give a path or a unique part.")
    return str(matches[0])


def _missing(name: str, by_id: Path = BY_ID) -> PortError:
    return PortError(f"There is no port {name}; there are {_present(by_id)}. Is the adapter plugged in?")


def _present(by_id: Path) -> str:
    names = sorted(path.name for path in by_id.glob("*")) if by_id.is_dir() else []
    return ", ".join(names) or "no serial ports"


class SerialPort:
    """A serial port that nobody else can open meanwhile. Waiting costs no processor time.

    Args:
        name: See `find_port`.
        baud: Bits per second.

    Raises:
        PortError: When it is missing, in use or not permitted.
        MissingDependencyError: Without pyserial.
    """

    def __init__(self, name: str, baud: int) -> None:
        self.name = name
        self._serial = _open(find_port(name), baud)
        self._fd: int = self._serial.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # The adapter's 16 ms latency timer down to 1 ms; a pseudo-terminal answers ENOTTY.
            self._serial.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        give_up = time.monotonic() + _WRITE_PATIENCE_S
        while view:
            try:
                view = view[os.write(self._live(), view) :]
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise self._lost("it takes no more bytes") from None
                time.sleep(0.001)
            except OSError as error:
                raise self._lost(str(error)) from None

    def read(self, deadline_ns: int) -> bytes:
        """What arrived, waiting for it until `deadline_ns`; empty at the deadline."""
        wait_ms = max(deadline_ns - time.monotonic_ns(), 0) / 1e6
        self._live()
        events = self._poll.poll(wait_ms)
        return self._take(events[0][1]) if events else b""

    def drain(self) -> int:
        """Throw away what arrived so far; returns how many bytes."""
        count = 0
        self._live()
        while events := self._poll.poll(0):
            count += len(self._take(events[0][1]))
        return count

    def close(self) -> None:
        """Release the port; may be called twice."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        self._fd = -1
        with contextlib.suppress(OSError):
            self._serial.close()

    def _take(self, events: int) -> bytes:
        if events & select.POLLIN:
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                return b""
            except OSError as error:
                raise self._lost(str(error)) from None
            if data:
                return data
        if events & (_LOST | select.POLLIN):
            raise self._lost("it hung up")
        return b""

    def _live(self) -> int:
        if self._fd < 0:
            raise PortLostError(f"Port {self.name} is closed; open it again (`reopen`).")
        return self._fd

    def _lost(self, reason: str) -> PortLostError:
        self.close()
        return PortLostError(
            f"Port {self.name} went away ({reason}). Check the USB cable and the arm's power supply, then reopen it."
        )


def _open(path: str, baud: int) -> serial.Serial:
    try:
        import serial
    except ImportError:
        raise MissingDependencyError("Servos need the package pyserial: pip install pyserial.") from None
    try:
        is_device = stat.S_ISCHR(os.stat(path).st_mode)
    except FileNotFoundError:  # a name in /dev/serial/by-id outlives its device for a moment
        raise _missing(path) from None
    except OSError as error:
        raise PortError(f"Port {path} can't be looked at: {error}. {_advice(error)}") from None
    if not is_device:
        raise PortError(f"{path} is not a serial port.")
    try:
        device = serial.Serial(path, baud, timeout=0, exclusive=True)
    except (serial.SerialException, termios.error, OSError, ValueError) as error:
        raise PortError(f"Port {path} can't be opened: {error}. {_advice(error)}") from None
    with contextlib.suppress(OSError):
        fcntl.ioctl(device.fileno(), termios.TIOCEXCL)
    return device


def _advice(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "Add yourself to the group that owns it (usually dialout) and log in again."
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return "Another process has it open: stop that one first."
    return "Check that the adapter is plugged in and supports this baud rate."
