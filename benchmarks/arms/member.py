"""`Member`: one process of a fleet, killed and started again with the same command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.verb import begin

_LINES = 30


class Member:
    """A verb with its settings; what it prints goes to `log`.

    Attributes:
        name: Of it, for people.
        starts: How often it was started.
        killed: How often it was killed.
    """

    def __init__(self, name: str, verb: str, settings: list[str], log: Path) -> None:
        """Prepare; nothing runs before `start`."""
        self.name, self.log, self.starts, self.killed = name, log, 0, 0
        self._command = [sys.executable, "-m", "commands", verb, *settings, "progress=false"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it, with further settings where the command shall differ from the one before."""
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = begin([*self._command, *more], log)

    @property
    def code(self) -> int | None:
        """With what it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def processor_s(self) -> float:
        """Seconds of the processor that it has used; 0 where it doesn't run."""
        if self._process is None or self.code is not None:
            return 0.0
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self.code is None:
            self.killed += 1
            self._process.kill()
            self._process.wait()

    def ask_to_end(self) -> None:
        """SIGTERM: an orderly end."""
        if self._process is not None and self.code is None:
            self._process.terminate()

    def wait(self, seconds: float) -> int | None:
        """Its exit status, None if it hasn't ended by then."""
        try:
            return None if self._process is None else self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def last_lines(self) -> str:
        """What it printed last."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-_LINES:])
