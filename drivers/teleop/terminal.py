"""Key presses from a terminal: characters in, held keys out.

The terminal stays in cbreak mode, so that Ctrl-C still ends the program, and is restored on `close` and at exit.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import sys
import time
from typing import Any

from drivers.errors import TeleopError, TeleopLostError
from drivers.teleop.controls import Report
from drivers.teleop.input_codes import KEYS

_ESCAPE_S = 0.05  # a lone escape is a key when nothing follows for this long
_SHIFT = "KEY_LEFTSHIFT"
_SEQUENCES = {
    b"\x1b[A": "KEY_UP", b"\x1b[B": "KEY_DOWN", b"\x1b[C": "KEY_RIGHT", b"\x1b[D": "KEY_LEFT", b"\x1b[H": "KEY_HOME",
    b"\x1b[F": "KEY_END", b"\x1bOA": "KEY_UP", b"\x1bOB": "KEY_DOWN", b"\x1bOC": "KEY_RIGHT", b"\x1bOD": "KEY_LEFT",
}  # fmt: skip
_CHARACTERS = {
    " ": "KEY_SPACE", "\r": "KEY_ENTER", "\n": "KEY_ENTER", "\t": "KEY_TAB", "\x7f": "KEY_BACKSPACE",
    "\b": "KEY_BACKSPACE", "-": "KEY_MINUS", "=": "KEY_EQUAL", ",": "KEY_COMMA", ".": "KEY_DOT", "/": "KEY_SLASH",
    ";": "KEY_SEMICOLON", "\x1b": "KEY_ESC",
}  # fmt: skip


class CharacterParser:
    """Bytes of a terminal -> names of keys; a capital letter brings `KEY_LEFTSHIFT` along."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """Whether an escape may still become a sequence."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Keys in `data`; the beginning of a sequence is kept for the next call."""
        data, self._rest = self._rest + data, b""
        names: list[str] = []
        while data:
            if data[:1] == b"\x1b":
                if len(data) == 1 or (len(data) == 2 and data[1:] in (b"[", b"O")):
                    self._rest = data
                    break
                if data[1:2] in (b"[", b"O"):
                    end = _end_of_sequence(data)
                    if end is None:
                        self._rest = data
                        break
                    names += [_SEQUENCES[data[:end]]] if data[:end] in _SEQUENCES else []
                    data = data[end:]
                    continue
            names += _keys_of(data[:1].decode("latin-1"))
            data = data[1:]
        return names

    def flush(self) -> list[str]:
        """Nothing followed: what was kept are keys of their own."""
        rest, self._rest = self._rest, b""
        return [name for byte in rest for name in _keys_of(chr(byte))]


def _end_of_sequence(data: bytes) -> int | None:
    """Length of the control sequence that `data` begins with (ECMA-48: it ends with a byte from @ to ~), or None."""
    for i in range(2, len(data)):
        if 0x40 <= data[i] <= 0x7E:
            return i + 1
    return None


def _keys_of(character: str) -> list[str]:
    name = _CHARACTERS.get(character, f"KEY_{character.upper()}")
    if name not in KEYS:
        return []
    return [_SHIFT, name] if character.isalpha() and character.isupper() else [name]


class TerminalConnection:
    """A `Connection` on a terminal.

    Args:
        descriptor: Of the terminal; the caller owns it.
        held_s: A key counts as held for this long after each of its characters.
    """

    def __init__(self, descriptor: int, held_s: float) -> None:
        self.where = "terminal"
        self.trouble: str | None = None
        self._descriptor, self._held_s = descriptor, held_s
        self._parser = CharacterParser()
        self._until: dict[str, float] = {}
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._saved = _cbreak(descriptor)
        atexit.register(self._restore)

    def read(self, timeout_s: float) -> Report | None:
        """Keys that were pressed, and those whose time is over.

        Raises:
            TeleopLostError: When the terminal was closed.
        """
        waits = [timeout_s, *(until - time.monotonic() for until in self._until.values())]
        wait = min([*waits, _ESCAPE_S] if self._parser.waiting else waits)
        names: list[str] = []
        if self._poll.poll(max(0.0, wait) * 1000 + 1):
            try:
                data = os.read(self._descriptor, 1024)
            except OSError as error:
                raise TeleopLostError(f"The terminal went away ({error.strerror}).") from error
            if not data:
                raise TeleopLostError("The terminal was closed.")
            names = self._parser.feed(data)
        elif self._parser.waiting:
            names = self._parser.flush()
        now = time.monotonic()
        over = [name for name, until in self._until.items() if until <= now and name not in names]
        for name in over:
            del self._until[name]
        self._until |= dict.fromkeys(names, now + self._held_s)
        report = [*((name, 0.0) for name in over), *((name, 1.0) for name in names)]
        return report or None

    def close(self) -> None:
        """Restore the terminal."""
        atexit.unregister(self._restore)
        self._restore()

    def _restore(self) -> None:
        import termios

        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)


def open_terminal(held_s: float) -> TerminalConnection:
    """The terminal that this program was started in.

    Raises:
        TeleopError: When standard input is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise TeleopError(
            "Standard input is no terminal; start this from a terminal (over ssh with -t), or read the keyboard from "
            "/dev/input (path: auto)."
        )
    return TerminalConnection(sys.stdin.fileno(), held_s)


def _cbreak(descriptor: int) -> list[Any]:
    """Characters at once and without echo; returns the settings from before."""
    import termios
    import tty

    saved = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSANOW)
    return saved
