"""The stages of a demo: each runs once per run folder, its time is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path


class Stages:
    """What has been done in a run folder, with seconds, in `stages.json`."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "stages.json"
        run_dir.mkdir(parents=True, exist_ok=True)
        self.seconds: dict[str, float] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Do `work` unless the stage is done."""
        if name in self.seconds:
            print(f"== {name}: done before, {self.seconds[name]:.0f} s", flush=True)
            return
        print(f"== {name}", flush=True)
        started = time.monotonic()
        work()
        self.seconds[name] = time.monotonic() - started
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.seconds, indent=1))
        partial.replace(self._path)
