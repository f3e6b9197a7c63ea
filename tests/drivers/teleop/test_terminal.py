"""The keyboard through a terminal: characters become keys that are held for a while; the terminal is restored."""

import os
import pty
import sys
import termios
from types import SimpleNamespace

import pytest
from helpers.fake_input import wait_for

from drivers.errors import TeleopError, TeleopLostError
from drivers.teleop.keyboard import KeyboardConfig, keyboard
from drivers.teleop.keys import Key
from drivers.teleop.terminal import CharacterParser, TerminalConnection
from trajectories.settings import merged


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (b"w ", ["KEY_W", "KEY_SPACE"]),
        (b"W", ["KEY_LEFTSHIFT", "KEY_W"]),
        (b"\x1b[A\x1bOB", ["KEY_UP", "KEY_DOWN"]),
        (b"\x1b[1;5Cq", ["KEY_Q"]),  # Ctrl-Right: a sequence that nobody knows is swallowed as a whole
        (b"\x1bw", ["KEY_ESC", "KEY_W"]),
        ("\u00e9\u20ac".encode(), []),
        (b"\r\x7f7", ["KEY_ENTER", "KEY_BACKSPACE", "KEY_7"]),
    ],
)
def test_characters_become_keys(typed, names):
    assert CharacterParser().feed(typed) == names
    parser = CharacterParser()
    one_by_one = [name for byte in typed for name in parser.feed(bytes([byte]))]
    assert one_by_one == names


def test_a_lone_escape_is_a_key_once_nothing_follows():
    parser = CharacterParser()
    assert parser.feed(b"a\x1b") == ["KEY_A"]
    assert parser.waiting
    assert parser.flush() == ["KEY_ESC"]
    assert not parser.waiting


@pytest.fixture
def tty():
    master, slave = pty.openpty()
    yield SimpleNamespace(master=master, slave=slave)
    os.close(master)
    os.close(slave)


def test_a_key_is_held_for_a_while_after_its_character(tty):
    connection = TerminalConnection(tty.slave, 0.05)
    os.write(tty.master, b"w")
    assert connection.read(1.0) == [("KEY_W", 1.0)]
    os.write(tty.master, b"a")
    assert connection.read(1.0) == [("KEY_A", 1.0)]
    released = []
    wait_for(lambda: released.extend(connection.read(1.0) or []) or len(released) == 2)
    assert released == [("KEY_W", 0.0), ("KEY_A", 0.0)]
    assert connection.read(0.01) is None
    connection.close()


def test_the_terminal_gives_single_characters_without_echo_and_is_restored(tty):
    before = termios.tcgetattr(tty.slave)
    connection = TerminalConnection(tty.slave, 0.1)
    local = termios.tcgetattr(tty.slave)[3]
    assert not local & (termios.ECHO | termios.ICANON)
    assert local & termios.ISIG  # Ctrl-C still ends the program
    connection.close()
    assert termios.tcgetattr(tty.slave) == before


def test_a_terminal_that_closes_is_a_lost_device():
    master, slave = pty.openpty()
    connection = TerminalConnection(slave, 0.1)
    os.close(master)
    with pytest.raises(TeleopLostError, match="terminal"):
        connection.read(1.0)
    connection.close()
    os.close(slave)


def test_typing_moves_the_arm_and_a_tap_is_one_step(tty, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True, fileno=lambda: tty.slave))
    raw = {"path": "terminal", "held_s": 0.01, "controls": {"response": {"coarse": 1.0, "fine": 0.5}}}
    with keyboard(merged(KeyboardConfig(), raw, "keyboard")) as device:
        device.start()
        os.write(tty.master, b"W")
        wait_for(lambda: device.status.events == 2)  # pressed, and let go 10 ms later
        assert device.latest().dx == 1.0
        assert not device.latest().active
        os.write(tty.master, b"\x1b")
        wait_for(lambda: device.status.events >= 3)
        assert device.pressed() == [Key.HOLD]


def test_without_a_terminal_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(TeleopError, match="ssh with -t"):
        keyboard(KeyboardConfig(path="terminal")).start()
