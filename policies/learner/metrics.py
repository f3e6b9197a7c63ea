"""`MetricsLog`: numbers over environment steps, to TensorBoard and to a file of JSON lines."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

FILE = "metrics.jsonl"
FLUSH_S = 5.0


class MetricsLog:
    """Appends; a resumed run goes on in the same files. One thread at a time.

    Each line of `metrics.jsonl` is an object with "step", "wall_s" and the numbers; NaN becomes null.
    """

    def __init__(self, folder: Path) -> None:
        """Open both sinks in `folder`, which is created."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import; only the learner needs it

        folder.mkdir(parents=True, exist_ok=True)
        self._lines = (folder / FILE).open("a", encoding="utf-8")
        if self._lines.tell() and not _ends_with_newline(folder / FILE):
            self._lines.write("\n")  # the last line was cut by a kill: keep it from swallowing the next
        self._board: Any = SummaryWriter(str(folder / "tensorboard"))
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
                self._board.add_scalar(name, value, step)
        self._lines.write(json.dumps(plain) + "\n")
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._lines.flush()
        self._board.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._lines.close()
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
