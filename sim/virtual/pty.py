"""A virtual bus on a pseudo-terminal, in a thread or in a process of its own.

    python -m sim.virtual.pty                            nine servos, no physics; prints the path to open
    python -m sim.virtual.pty --wire                     replies take their time at 1 Mbps

It runs until its standard input ends or it is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

from drivers.dynamixel.servo_map import BUS_BAUD
from robot.control.priority import raise_priority
from sim.virtual.bus import VirtualBus, arm_servos
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S

_TICK_S = 0.005
_CHUNK = 4096
_FORGET_NS = 1_000_000_000


class PtyServer:
    """Serves a virtual bus on a pseudo-terminal from a thread of its own.

    Args:
        bus: What to serve; touch it from other threads only while holding `lock`.
        link: A symbolic link that always points to the present terminal, as a name in /dev/serial/by-id does.
        first: Whether its thread goes before other programs where that is permitted: real servos need no processor.

    Attributes:
        lock: Held while the bus is at work.
        path: What to open; the link where there is one.
        terminal: Where that is now; empty while unplugged.
    """

    def __init__(self, bus: VirtualBus, link: Path | None = None, first: bool = False) -> None:
        self.bus = bus
        self.lock = threading.Lock()
        self.path = self.terminal = ""
        self._link, self._first = link, first
        self._fds: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._wake = os.pipe()
        self.plug()

    def plug(self) -> None:
        """Make a terminal and start serving it; the path is a new one (the link's stays)."""
        if self._fds is not None:
            return
        self._end_thread()
        master, slave = os.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._fds = master, slave
        self.path = self.terminal = os.ttyname(slave)
        if self._link is not None:
            fresh = self._link.with_name(self._link.name + ".new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.terminal)
            fresh.replace(self._link)
            self.path = str(self._link)
        self._start_thread(self._serve, master, slave)

    def unplug(self) -> None:
        """Pull the plug: whoever has the terminal open finds it gone. The servos keep power and live on."""
        if self._fds is None:
            return
        self._end_thread()
        for fd in self._fds:
            os.close(fd)
        self._fds, self.terminal = None, ""
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._start_thread(self._live_on)

    def close(self) -> None:
        """Stop serving."""
        self.unplug()
        self._end_thread()
        for fd in self._wake:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._wake = (-1, -1)

    def __enter__(self) -> PtyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_thread(self, work: Callable[..., None], *arguments: int) -> None:
        def run() -> None:
            if self._first:
                raise_priority()
            work(*arguments)

        self._thread = threading.Thread(target=run, name="virtual-bus", daemon=True)
        self._thread.start()

    def _end_thread(self) -> None:
        if self._thread is not None:
            os.write(self._wake[1], b"x")
            self._thread.join()
            self._thread = None

    def _live_on(self) -> None:
        """Without a terminal: time goes on for the servos."""
        while not select.select([self._wake[0]], [], [], _TICK_S)[0]:
            with self.lock:
                self.bus.advance(time.monotonic_ns())
                self.bus.send(time.monotonic_ns())
        os.read(self._wake[0], 1)

    def _serve(self, master: int, slave: int) -> None:
        wake = self._wake[0]
        tick_ns = round(_TICK_S * NS_PER_S)
        moved = heard = time.monotonic_ns()
        while True:
            now = time.monotonic_ns()
            with self.lock:
                due = self.bus.next_due_ns()
            wait = _TICK_S if due is None else min(max((due - now) / NS_PER_S, 0.0), _TICK_S)
            readable, _, _ = select.select([master, wake], [], [], wait)
            if wake in readable:
                os.read(wake, 1)
                return
            now = time.monotonic_ns()
            with self.lock:
                if master in readable:
                    with contextlib.suppress(OSError):
                        self.bus.receive(os.read(master, _CHUNK), now)
                    heard = now
                elif now - moved >= tick_ns:
                    moved = now
                    self.bus.advance(now)
                ready = self.bus.send(time.monotonic_ns())
            if now - heard > _FORGET_NS:
                # A client that was killed leaves its exclusive mode behind, since this side keeps the terminal open.
                heard = now
                fcntl.ioctl(slave, termios.TIOCNXCL)
            if ready:
                with contextlib.suppress(OSError):
                    os.write(master, ready)


class PtyProcess:
    """A virtual bus in a process of its own.

    Args:
        arguments: As on the command line.

    Attributes:
        path: What to open.

    Raises:
        ConfigError: When it doesn't start.
    """

    def __init__(self, *arguments: str) -> None:
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-m", "sim.virtual.pty", *arguments]
        self.process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        self.path = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not self.path:
            _, errors = self.process.communicate()
            raise ConfigError(f"The virtual bus didn't start: {errors.strip()[-500:]}")

    def close(self) -> None:
        """End the process."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def __enter__(self) -> PtyProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--wire", action="store_true", help="replies take their time at 1 Mbps")
    parser.add_argument("--firmware", type=int, default=46, help="firmware version of all servos (default 46)")
    parser.add_argument("--link", type=Path, help="symbolic link to keep pointing to the terminal")
    options = parser.parse_args()
    bus = VirtualBus(
        arm_servos(firmware=options.firmware),
        now_ns=time.monotonic_ns(),
        wire_baud=BUS_BAUD if options.wire else None,
    )
    with PtyServer(bus, options.link) as server:
        print(server.path, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
