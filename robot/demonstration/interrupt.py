"""Delay Ctrl-C, and what else ends a command, until an operation that must not be cut in two is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from robot.signals import ENDINGS, on_signals


@contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """Put Ctrl-C, SIGTERM and SIGHUP off until the block is over.

    For blocks that end soon; those that don't ask whether one came.

    Outside the main thread, where signals never arrive, it does nothing.

    Yields:
        Tells whether one came since the block began.

    Raises:
        KeyboardInterrupt: After the block, when one came meanwhile.
    """
    came: list[None] = []
    with on_signals(lambda: came.append(None), *ENDINGS):
        yield lambda: bool(came)
    if came:
        raise KeyboardInterrupt
