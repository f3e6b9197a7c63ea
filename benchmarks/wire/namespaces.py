"""`Wire`: two network namespaces of Linux, joined by a wire of which `Emulator` decides what it does (as root)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from benchmarks.wire.emulator import Emulator, Netem
from trajectories.errors import ConfigError

LEARNER, ACTOR = "learner", "actor"
SIDES = (LEARNER, ACTOR)
ADDRESSES = {LEARNER: "10.213.0.1", ACTOR: "10.213.0.2"}
SILENCE = Netem(loss=1.0)
"""Nothing passes, and nobody is told."""


def why_not() -> str | None:
    """What this machine lacks for namespaces; None where nothing."""
    try:
        with Wire():
            return None
    except ConfigError as error:
        return str(error)


class Wire:
    """The namespaces, as long as the context lasts; several may be there at once.

    Both ends have the same addresses in every `Wire`: nobody else sees them. Packets have 1500 bytes at most.
    """

    def __init__(self) -> None:
        """Make nothing yet."""
        number = f"{os.getpid() % 0xFFFFFF:x}{os.urandom(2).hex()}"
        self._names = {side: f"regrasp-{number}-{side}" for side in SIDES}
        self._ends = {LEARNER: f"rg{number}l", ACTOR: f"rg{number}a"}
        self._opened = ExitStack()
        self._emulator: Emulator | None = None

    def __enter__(self) -> Self:
        """Make them.

        Raises:
            ConfigError: This machine doesn't let it.
        """
        if shutil.which("ip") is None:
            raise ConfigError("network namespaces need `ip`: install the system package iproute2")
        if os.geteuid():
            raise ConfigError("only root may make network namespaces: run it with sudo, or in a container as root")
        with ExitStack() as opened:
            try:
                self._emulator = Emulator((self._ends[LEARNER], self._ends[ACTOR]))
            except OSError as error:
                raise ConfigError(f"can't make a TUN interface for the wire: {error}") from error
            opened.callback(self._emulator.close)
            for side, name in self._names.items():
                _run("ip", "netns", "add", name)
                opened.callback(_delete, name)
                end = self._ends[side]
                _run("ip", "link", "set", end, "netns", name)
                _run("ip", "-n", name, "link", "set", "lo", "up")
                other = next(ADDRESSES[one] for one in SIDES if one != side)
                _run("ip", "-n", name, "address", "add", ADDRESSES[side], "peer", other, "dev", end)
                _run("ip", "-n", name, "link", "set", end, "mtu", "1500", "up")
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete them, and the wire with them."""
        self._opened.close()

    def command(self, side: str, command: Sequence[str]) -> list[str]:
        """The command that runs another one at a side."""
        return ["ip", "netns", "exec", self._names[side], *command]

    def set(self, netem: Netem) -> None:
        """Let both directions do that from now on."""
        if self._emulator is not None:
            self._emulator.netem = netem

    def sent_bytes(self, side: str) -> int:
        """Bytes that a side has put on the wire, see `Emulator`."""
        return 0 if self._emulator is None else self._emulator.sent[SIDES.index(side)]


def _delete(name: str) -> None:
    with suppress(ConfigError):
        _run("ip", "netns", "delete", name)


def _run(*command: str) -> None:
    """Run it.

    Raises:
        ConfigError: It fails.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"`{' '.join(command)}` failed, as root of a machine that allows it: {done.stderr.strip()}")
