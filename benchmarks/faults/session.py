"""A session in a process of its own, at a terminal of its own, to be killed."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from trajectories.errors import DeviceError

MOVES = "moves"
_SCRIPT = Path(__file__).resolve().parents[1] / "fault_table.py"
_PIECE = 4096
_TICK_S = 0.02


class Session:
    """Drives the robot of a world until it is killed.

    Args:
        folder: Of the world.

    Attributes:
        told: What its terminal showed after the kill, with monotonic ns.

    Raises:
        DeviceError: When it doesn't get the robot to move.
    """

    def __init__(self, folder: Path) -> None:
        self.told: list[tuple[int, str]] = []
        self._killed = False
        self._screen, self._terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), "--session", str(folder)],
            stdout=subprocess.PIPE,
            stderr=self._terminal,
            text=True,
            start_new_session=True,
            encoding="utf-8",
        )
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        if line != MOVES:
            self._end()
            raise DeviceError("The session that is to be killed didn't start: run this with --session and a folder.")

    def kill(self) -> int:
        """SIGKILL; returns when, monotonic ns."""
        self._killed = True
        now = time.monotonic_ns()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return now

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    # -- inside -------------------------------------------------------------------------------------
    def _read(self) -> None:
        """The thread: lines of the terminal."""
        rest = b""
        while not self._stop.is_set():
            if not select.select([self._screen], [], [], _TICK_S)[0]:
                continue
            *lines, rest = (rest + os.read(self._screen, _PIECE)).split(b"\n")
            if self._killed:
                now = time.monotonic_ns()
                self.told += [(now, text) for line in lines if (text := line.decode(errors="replace").strip())]

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stop.set()
        self._reader.join()
        os.close(self._screen)
        os.close(self._terminal)
