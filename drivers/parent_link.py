"""Exchange lines of JSON with the parent, from inside a device's process."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import threading
import time
from typing import Any

FAILED = 3
"""Exit code after a failure that was reported."""
_PR_SET_PDEATHSIG = 1
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only; found here, since a forked child had better not look
_PATIENCE_S = 5.0
_HINT_PATIENCE_S = 0.002
_LONGEST_HINT = 800  # characters: at four bytes each the line stays below PIPE_BUF and so goes whole or not at all


class Events:
    """Lines to the parent. Takes standard output for itself; what libraries print goes to standard error."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)
        os.set_blocking(self._fd, False)
        self._lock = threading.Lock()

    def tell(self, event: str, **what: Any) -> bool:
        """Send an event, waiting some seconds for a busy parent; returns whether it went."""
        line = _line(event, what)
        rest = memoryview(line)
        give_up = time.monotonic() + _PATIENCE_S
        with self._lock:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:
                    if len(rest) == len(line) and time.monotonic() > give_up:  # a line that was begun is finished
                        return False
                    select.select([], [self._fd], [], _PATIENCE_S)
                except OSError:  # the parent is gone
                    return False
        return True

    def hint(self, event: str, **what: Any) -> bool:
        """The same for threads that mustn't wait: long texts are cut, and the event is lost when the pipe is full."""
        short = {k: v[:_LONGEST_HINT] if isinstance(v, str) else v for k, v in what.items()}
        if not self._lock.acquire(timeout=_HINT_PATIENCE_S):
            return False
        try:
            os.write(self._fd, _line(event, short))
        except OSError:
            return False
        finally:
            self._lock.release()
        return True


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends, even while a driver call hangs (prctl(2)).

    Args:
        parent: Process id that the parent has or, if it is gone already, had.
        number: The signal.
    """
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(FAILED)


def read_task() -> dict[str, Any]:
    """The first line from the parent; unbuffered, since others go on reading there."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            break
        line += piece
    task: dict[str, Any] = json.loads(bytes(line))
    return task


def _line(event: str, what: dict[str, Any]) -> bytes:
    return json.dumps({"event": event, **what}, ensure_ascii=False).encode() + b"\n"
