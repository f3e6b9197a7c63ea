"""The metrics of a run that can be interrupted: after a resume, lines that are about to be written anew are gone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from policies.common.kept_checkpoints import KeptCheckpoint
from policies.learner.metrics import FILE, MetricsLog, read_metrics
from trajectories.durable import replace_file

PHASES = ("acting", "learning", "evaluating")


class Record:
    """Metrics over steps, and what time went into.

    Attributes:
        seconds: Wall-clock seconds by "acting", "learning" and "evaluating", over all starts of the run.
    """

    def __init__(self, folder: Path, step: int, seconds: dict[str, float]) -> None:
        """Go on after `step`.

        Args:
            folder: Of the metrics.
            step: Of the checkpoint that the run goes on from; -1 for a new run.
            seconds: Spent until then.
        """
        _cut(folder, step)
        self.seconds = {name: float(seconds.get(name, 0.0)) for name in PHASES}
        self._log = MetricsLog(folder)

    @classmethod
    def after(cls, folder: Path, saved: KeptCheckpoint | None) -> Record:
        """Go on after a checkpoint whose header has the seconds; None begins anew."""
        return cls(folder, -1, {}) if saved is None else cls(folder, saved.number, dict(saved.header["seconds"]))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add numbers at a step."""
        self._log.write(step, sum(self.seconds.values()), values)

    def write_losses(self, step: int, prefix: str, metrics: dict[str, Tensor]) -> None:
        """Add an update's metrics, which are still on the device."""
        self.write(step, {f"{prefix}/{name}": float(value) for name, value in metrics.items()})

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the seconds within towards a phase."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - began

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._log.flush()

    def close(self) -> None:
        """Flush and close."""
        self._log.close()


def _cut(folder: Path, step: int) -> None:
    """Leave out lines after `step`: the run went on past its last checkpoint before it was interrupted."""
    path = folder / FILE
    if not path.is_file():
        return
    kept = [json.dumps(row) for row in read_metrics(folder) if row["step"] <= step]
    replace_file(path, "".join(line + "\n" for line in kept).encode())
