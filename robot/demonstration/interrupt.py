"""Delay Ctrl-C until an operation that must not be cut in two is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """Put Ctrl-C off until the block is over, for blocks that end soon; those that don't ask whether it came.

    Outside the main thread, where Ctrl-C never arrives, it does nothing.

    Yields:
        Tells whether Ctrl-C came since the block began.

    Raises:
        KeyboardInterrupt: After the block, when Ctrl-C came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
