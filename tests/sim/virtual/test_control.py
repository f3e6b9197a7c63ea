"""Requests over the socket: what is answered, and what is refused without harm."""

import contextlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from sim.virtual.control import LONGEST_LINE, ControlServer
from sim.virtual.world_settings import WorldSettings, parse_arguments
from trajectories.errors import ConfigError, SafetyError


def refuse():
    raise SafetyError("not now")


@pytest.fixture
def server(tmp_path):
    handlers = {"double": lambda number: {"number": 2 * number}, "refuse": refuse}
    server = ControlServer(tmp_path / "control", handlers)
    yield server
    server.close()
    assert not (tmp_path / "control").exists()


@pytest.fixture
def client(server, tmp_path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control"))
        server.serve(5.0)
        yield client


def ask(server, client, data):
    client.sendall(data)
    server.serve(5.0)
    client.settimeout(5.0)
    return [json.loads(line) for line in client.recv(1 << 16).splitlines()]


def test_each_line_gets_an_answer_even_in_pieces(server, client):
    line = b'{"do": "double", "number": 21}\n'
    assert ask(server, client, line + line.replace(b"21", b"4")) == [
        {"ok": True, "number": 42},
        {"ok": True, "number": 8},
    ]
    client.sendall(line[:9])
    server.serve(5.0)
    assert ask(server, client, line[9:]) == [{"ok": True, "number": 42}]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\xff{\n", "one line"),
        (b"[1]\n", "one line"),
        (b'"double"\n', "one line"),
        (b'{"number": 1}\n', "entry 'do'"),
        (b'{"do": ["double"]}\n', "there are double, refuse"),
        (b'{"do": "__init__"}\n', "there are double, refuse"),
        (b'{"do": "double"}\n', r"takes (number): missing"),
        (b'{"do": "double", "number": 1, "more": 2}\n', "more"),
        (b'{"do": "refuse"}\n', "not now"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_next_line_answered(server, client, line, says):
    (answer,) = ask(server, client, line)
    assert not answer["ok"]
    assert says in answer["error"]
    assert ask(server, client, b'{"do": "double", "number": 3}\n') == [{"ok": True, "number": 6}]


def test_an_endless_line_ends_the_connection(server, client):
    client.setblocking(False)
    sent = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while sent < 8 * LONGEST_LINE:
            try:
                sent += client.send(b"x" * 65536)
            except BlockingIOError:
                server.serve(5.0)
    assert LONGEST_LINE < sent < 4 * LONGEST_LINE


def test_only_this_user_may_ask(server, tmp_path):
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o700


def test_a_dead_servers_socket_is_replaced_and_a_living_ones_is_not(server, tmp_path):
    with pytest.raises(ConfigError, match="another folder"):
        ControlServer(tmp_path / "control", {})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    ControlServer(tmp_path / "dead", {}).close()
    with pytest.raises(ConfigError, match="100 characters"):
        ControlServer(tmp_path / ("x" * 100), {})


def test_the_end_of_another_stream_is_noticed(server):
    ended = []
    read, write = os.pipe()
    server.at_end_of(read, lambda: ended.append(True))
    os.write(write, b"still here")
    server.serve(5.0)
    assert not ended
    os.close(write)
    server.serve(5.0)
    server.serve(0.0)
    assert ended == [True]
    os.close(read)


def test_settings_survive_the_command_line():
    settings = WorldSettings("bin_weight", 7, {"front": "uvc", "wrist": "realsense"}, 64, False, "narrow", 12.5, True)
    assert parse_arguments(settings.to_arguments(Path("/tmp/x"))) == (settings, Path("/tmp/x"))
    assert WorldSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
    blind = WorldSettings("bin_weight", cameras={})
    assert parse_arguments(blind.to_arguments(Path("/tmp/x"))) == (blind, Path("/tmp/x"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"task": "juggle"}, "pot_pick_place"),
        ({"cameras": {"back": "uvc"}}, "wrist"),
        ({"cameras": {"front": "film"}}, "realsense"),
        ({"image_size": 0}, "image_size"),
        ({"fps": 0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"spread": "broad"}, "narrow"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        WorldSettings(**{"task": "bin_weight", **wrong})
