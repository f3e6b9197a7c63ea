"""Handlers of POSIX signals for as long as something runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_signals(handler: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """Call `handler` when one of these signals comes; afterwards the handlers from before are back.

    Only the main thread can arrange that: in another one, signals stay as they are.

    Args:
        handler: Runs between two instructions of the main thread; what it raises is raised there.
        numbers: Signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        handler()

    earlier = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
