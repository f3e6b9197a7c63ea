"""One life of a camera's process, seen from its parent: started, listened to, stopped or killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import IO

from drivers.cameras.config import CameraConfig
from drivers.cameras.ring import FrameRing

# This process's paths come after the standard library: a script's folder may hold a file named like a module of it.
_CODE = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from drivers.cameras.child import main; sys.exit(main())"
)
_TAIL = 600  # bytes of what the libraries printed that are kept
_STOP_S = 1.0
_PIECE = 65536


class CameraProcess:
    """A fresh interpreter (not a fork) that runs `drivers.cameras.child`; it never outlives the thread that made it.

    Attributes:
        pid: Process id.
        started_ns: Monotonic ns of the start.
        opened: Whether it has opened its device.
        failure: (name of the error's class, message) that it reported, None so far.
        killed: Why it was killed, None if it wasn't.
    """

    def __init__(self, config: CameraConfig, ring: FrameRing) -> None:
        """Start the process; `ring` must be the owner's."""
        self.started_ns = time.monotonic_ns()
        self.opened = False
        self.failure: tuple[str, str] | None = None
        self.killed: str | None = None
        ring_fd = ring.owner_fd
        paths = json.dumps([p or os.getcwd() for p in sys.path])
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(ring_fd,),
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )
        self.pid = self._popen.pid
        self._events, self._tail = b"", b""
        for pipe in (self._popen.stdout, self._popen.stderr):
            os.set_blocking(_fd(pipe), False)
        task = {"camera": config.to_dict(), "ring_fd": ring_fd, "parent": os.getpid()}
        with contextlib.suppress(BrokenPipeError):  # it ended already: `exited` tells
            os.write(_fd(self._popen.stdin), json.dumps(task).encode() + b"\n")

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
        return f"the camera's process ended with code {self._popen.returncode}" + (f": {tail}" if tail else ".")

    def listen(self) -> None:
        """Take in what the process has said since the last time; never blocks."""
        self._events += _drain(self._popen.stdout)
        self._tail = (self._tail + _drain(self._popen.stderr))[-_TAIL:]
        *lines, self._events = self._events.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "open":
                self.opened = True
            else:
                self.failure = (event["kind"], event["message"])

    def kill(self, why: str) -> None:
        """SIGKILL; returns at once, `exited` tells when it is over."""
        self.killed = why
        self._popen.kill()

    def stop(self) -> None:
        """Ask it to close its device and end; kill it when it doesn't within a second."""
        with contextlib.suppress(BrokenPipeError):
            os.write(_fd(self._popen.stdin), b"stop\n")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_STOP_S)
        if not self.exited:
            self._popen.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: it ends when the driver lets go
                self._popen.wait(_STOP_S)
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
