"""`MetricsLog`: numbers over environment steps, to TensorBoard and to a file of JSON lines."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

FILE = "metrics.jsonl"
FLUSH_S = 5.0
_log = logging.getLogger(__name__)


class MetricsLog:
    """Appends; a resumed run goes on in the same files. One thread at a time.

    Each line of `metrics.jsonl` is an object with "step", "wall_s" and the numbers; NaN becomes null. While the disk
    refuses, lines wait in memory and TensorBoard goes without: metrics never end a run.
    """

    def __init__(self, folder: Path) -> None:
        """Open both sinks in `folder`, which is created."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        self._lines = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        cut = path.stat().st_size > 0 and not _ends_with_newline(path)
        self._waiting = b"\n" if cut else b""  # a line cut by a kill must not swallow the next
        self._board = _Board(folder / "tensorboard")
        self._flushed = time.monotonic()

    def write(self, step: int, wall_s: float, values: Mapping[str, float | str]) -> None:
        """Add numbers (and words, which go to the file only) at an environment step."""
        plain: dict[str, Any] = {"step": step, "wall_s": round(wall_s, 3)}
        for name, value in values.items():
            if isinstance(value, str):
                plain[name] = value
                continue
            plain[name] = value if math.isfinite(value) else None
            if math.isfinite(value):
                self._board.add(name, value, step)
        self._waiting += json.dumps(plain).encode() + b"\n"
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system, or as much as the disk takes."""
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._lines, self._waiting) :]
        except OSError as error:
            _log.debug("metrics wait for the disk: %s", error)
        if not self._waiting:
            self._board.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close; lines that the disk refuses to the last are lost, which is said."""
        self.flush()
        if self._waiting:
            _log.warning("%d bytes of metrics were lost: the disk refuses them.", len(self._waiting))
        os.close(self._lines)
        self._board.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of `metrics.jsonl` in `folder`; an empty list when there is none."""
    path = folder / FILE
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # cut by a kill
    return rows


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


class _Board:
    """TensorBoard's writer; one that the disk fails is left and a new one begun at the next flush."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._try(self._begin)

    def add(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._try(lambda: self._writer.add_scalar(name, value, step))

    def flush(self) -> None:
        self._try(self._begin if self._writer is None else self._writer.flush)

    def close(self) -> None:
        if self._writer is not None:
            self._try(self._writer.close)

    def _begin(self) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import; only the learner needs it

        self._writer = SummaryWriter(str(self._folder))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            self._writer = None
            _log.debug("TensorBoard goes without these numbers: %s", error)
