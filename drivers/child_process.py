"""Start the process of a device, listen to it, and stop or kill it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

# This process's paths come after the standard library: a script's folder may hold a file named like a module of it.
_CODE = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from {module} import main; sys.exit(main())"
)
_TAIL = 600  # bytes of what the libraries printed that are kept
_STOP_S = 1.0
_PIECE = 65536


class ChildProcess:
    """A fresh interpreter (not a fork) that runs `main` of a module; `drivers.parent_link` is its other end.

    Args:
        what: How it is called in messages, e.g. "the camera's process".
        module: Its module.
        task: What it gets as its first line, plain JSON types; "parent" is added.
        shared_fd: Descriptor of memory that it inherits.

    Attributes:
        pid: Process id.
        started_ns: Monotonic ns of the start.
        opened: Whether it has opened its device.
        failure: (name of the error's class, message) that it reported, None so far.
        killed: Why it was killed, None if it wasn't.
    """

    def __init__(self, what: str, module: str, task: Mapping[str, Any], shared_fd: int) -> None:
        self.started_ns = time.monotonic_ns()
        self.opened = False
        self.failure: tuple[str, str] | None = None
        self.killed: str | None = None
        self._what = what
        paths = json.dumps([p or os.getcwd() for p in sys.path])
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE.format(module=module), paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(shared_fd,),
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )
        self.pid = self._popen.pid
        self._events, self._tail = b"", b""
        for pipe in (self._popen.stdout, self._popen.stderr):
            os.set_blocking(_fd(pipe), False)
        self.tell({**task, "parent": os.getpid()})

    @property
    def exited(self) -> bool:
        """Whether the process has ended."""
        return self._popen.poll() is not None

    @property
    def ending(self) -> str:
        """Why it ended, in words."""
        if self.killed:
            return self.killed
        if self.failure:
            return self.failure[1]
        tail = self._tail.decode(errors="replace").strip()
        return f"{self._what} ended with code {self._popen.returncode}" + (f": {tail}" if tail else ".")

    def tell(self, what: Mapping[str, Any]) -> None:
        """Send it a line; when it ended already, `exited` tells."""
        with contextlib.suppress(BrokenPipeError):
            os.write(_fd(self._popen.stdin), json.dumps(what).encode() + b"\n")

    def wait_for_news(self, timeout_s: float) -> None:
        """Return when the process has said something or ended, or at the time-out."""
        select.select([_fd(self._popen.stdout)], [], [], timeout_s)

    def listen(self) -> Sequence[Mapping[str, Any]]:
        """What the process has said since the last time, `opened` and `failure` taken in; never blocks."""
        self._events += _drain(self._popen.stdout)
        self._tail = (self._tail + _drain(self._popen.stderr))[-_TAIL:]
        *lines, self._events = self._events.split(b"\n")
        events = [json.loads(line) for line in lines]
        for event in events:
            if event["event"] == "open":
                self.opened = True
            elif event["event"] == "failed":
                self.failure = (event["kind"], event["message"])
        return events

    def kill(self, why: str) -> None:
        """SIGKILL; returns at once, `exited` tells when it is over."""
        self.killed = why
        self._popen.kill()

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end; returns whether it came."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout_s)
        return self.exited

    def stop(self) -> None:
        """Ask it to close its device and end; kill it when it doesn't within a second."""
        self.tell({"do": "stop"})
        if not self.ends_within(_STOP_S):
            self._popen.kill()
            self.ends_within(_STOP_S)  # stuck in the kernel: it ends when the driver lets go
        self.release()

    def release(self) -> None:
        """Close the pipes."""
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _fd(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe.fileno()


def _drain(pipe: IO[bytes] | None) -> bytes:
    """Everything that is in the pipe."""
    pieces = []
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(_fd(pipe), _PIECE):
            pieces.append(piece)
    return b"".join(pieces)
