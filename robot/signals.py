"""Handlers of POSIX signals for as long as something runs."""

from __future__ import annotations

import _thread
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""With which a person, the system or a terminal that is closed ends a command."""

_AGAIN_S = 0.02


@contextmanager
def on_signals(handler: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """Call `handler` when one of these signals comes; afterwards the handlers from before are back.

    Only the main thread can arrange that: in another one, signals stay as they are. Signals that this process was
    started to ignore (nohup) stay ignored. When the terminal is closed (SIGHUP), what is written to it from then on
    is dropped, since writing to it would fail.

    Args:
        handler: Runs between two instructions of the main thread; what it raises is raised there.
        numbers: Signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if _in_finaliser(frame):  # what is raised there is printed and forgotten
            threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number)).start()
            return
        if number == signal.SIGHUP:
            _leave_terminal()
        handler()

    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)


def _in_finaliser(frame: FrameType | None) -> bool:
    """Whether a `__del__` is running."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def interrupt_once() -> Callable[[], None]:
    """A handler that ends what runs as Ctrl-C does, with KeyboardInterrupt, but only once.

    A terminal that is closed sends several signals; the later ones must not cut short the orderly end.
    """
    came: list[None] = []

    def handle() -> None:
        if not came:
            came.append(None)
            raise KeyboardInterrupt

    return handle


def set_from_handler(event: threading.Event) -> None:
    """Set an event from a handler: in another thread, since the interrupted one may hold the event's own lock."""
    _thread.start_new_thread(event.set, ())


def _leave_terminal() -> None:
    """Standard streams that are a terminal become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # isatty() says no once the terminal is gone
                os.dup2(null, descriptor)
    os.close(null)
