"""`Member`: a verb at one side of a wire, and when it said what."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.verb import begin
from benchmarks.wire.namespaces import Wire

_END_S = 180.0


class Member:
    """A process whose output goes to a file.

    Attributes:
        said: Unix time and text of every line, from when `look` came across it.
    """

    def __init__(self, wire: Wire, side: str, command: Sequence[str], log: Path) -> None:
        """Start it."""
        self.said: list[tuple[float, str]] = []
        self._log, self._read = log, 0
        with log.open("wb") as file:
            self.process = begin(wire.command(side, [sys.executable, *command]), file, subprocess.PIPE)

    def look(self) -> None:
        """Take in the lines that it has printed since."""
        now = time.time()
        with self._log.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        self.said += [(now, line) for line in whole.decode(errors="replace").splitlines() if line.strip()]

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        if self.process.stdin is not None:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

    def end(self) -> int:
        """Ask it to end, insist after a while; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.look()
