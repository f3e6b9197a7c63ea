"""Counts calls of functions as they really run, by the interpreter's own profile events."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any


class CallCounter:
    """How often functions of this thread are entered.

    Attributes:
        side: What following calls are counted under.
        counts: (side, qualified name) -> sum of their weights.
    """

    def __init__(self, *names: str, weights: Mapping[str, Callable[[dict[str, Any]], int]] | None = None) -> None:
        """Watch these functions.

        Args:
            names: Qualified names, e.g. "TrajectoryStore.commit"; each call counts 1.
            weights: Further ones: name -> what a call counts, from its arguments.
        """
        self._weights = {name: lambda arguments: 1 for name in names} | dict(weights or {})
        self.side = ""
        self.counts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count what is called within."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def of(self, side: str) -> dict[str, int]:
        """Name -> count under that side, of every watched function."""
        return {name: self.counts[side, name] for name in self._weights}

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_qualname
        if event == "call" and name in self._weights:
            self.counts[self.side, name] += self._weights[name](frame.f_locals)
