"""The console over a real Unix socket: requests, refusals, broken clients, restarts, other users."""

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from robot.console.client import ConsoleClient, NoSessionError
from robot.console.server import Console
from robot.console.wire import MAX_REQUEST_BYTES, console_path, peer_of, short_address
from trajectories.errors import LinkError, SafetyError

FRAMES = {"front": np.full((48, 64, 3), (200, 40, 10), np.uint8)}


@pytest.fixture
def path(tmp_path):
    return console_path(tmp_path)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def console(path, heard):
    def refuse(by):
        raise SafetyError("the gripper still holds something")

    words = {
        "clear": lambda by, faults: heard.append(by) or f"{by} cleared {faults}",
        "hold": lambda by: "held",
        "ready": refuse,
    }
    with Console(path, lambda: {"task": "bin_weight", "step": 3}, lambda: FRAMES, words) as running:
        yield running


@pytest.fixture
def client(path):
    return ConsoleClient(path)


def raw(path, message, half_close=True):
    """Send bytes past the client; returns everything that comes back."""
    with socket.socket(socket.AF_UNIX) as connection, short_address(path) as (address, _):
        connection.settimeout(20)
        connection.connect(address)
        connection.sendall(message)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        pieces = []
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
        return b"".join(pieces)


def error_of(reply):
    return json.loads(reply)["error"]


def test_state_words_and_a_frame_arrive(console, client):
    assert client.state() == {"task": "bin_weight", "step": 3}
    assert client.words() == ("clear", "hold", "ready")
    image = np.asarray(Image.open(io.BytesIO(client.frame("front"))))
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - FRAMES["front"]).max() <= 3


def test_numbers_without_a_json_form_arrive_as_null_or_plain(path, client):
    state = {"probability": float("nan"), "joints": np.array([0.5, np.inf]), "count": np.int64(4), "names": ("a",)}
    with Console(path, lambda: state, dict, {}):
        assert client.state() == {"probability": None, "joints": [0.5, None], "count": 4, "names": ["a"]}


def test_a_word_reaches_the_session_with_the_name(console, client, heard):
    assert client.say("clear", "  Anna ", ["ab1", "ab2"]) == "Anna cleared ('ab1', 'ab2')"
    with pytest.raises(LinkError, match="must name the faults"):
        client.say("clear", "Anna")
    assert client.say("hold") == "held"
    assert heard == ["Anna"]


@pytest.mark.parametrize("name", ["", "  ", "An\nna", "x" * 81])
def test_clear_needs_a_proper_name(console, client, heard, name):
    with pytest.raises(LinkError, match="name"):
        client.say("clear", name)
    assert heard == []


def test_what_the_session_refuses_comes_back_as_text(console, client):
    with pytest.raises(LinkError, match="still holds something"):
        client.say("ready")
    with pytest.raises(LinkError, match=r"clear, hold, ready; got 'dance'"):
        client.say("dance")
    with pytest.raises(LinkError, match="Cameras with frames: front"):
        client.frame("wrist")


def test_a_failing_callable_becomes_an_error_and_the_console_goes_on(path, client):
    def broken():
        raise ZeroDivisionError("no joints")

    with Console(path, broken, lambda: {"front": np.zeros((4, 4), np.float32)}, {"hold": lambda by: 1 / 0}):
        for ask in (client.state, lambda: client.say("hold")):
            with pytest.raises(LinkError, match="ZeroDivisionError"):
                ask()
        with pytest.raises(LinkError, match=r"float32 \(4, 4\), expected uint8"):
            client.frame("front")
        assert client.words() == ("hold",)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\n", "JSON"),
        (b"not json\n", "JSON"),
        (b"[1, 2]\n", "JSON object"),
        (b"\xff\xfe\n", "JSON"),
        (b"[" * 4000 + b"\n", "JSON"),
        (b"{}\n", "state, frame or words"),
        (b'{"ask": ["state"]}\n', "state, frame or words"),
        (b'{"ask": "frame", "camera": 7}\n', "Cameras with frames: front"),
        (b'{"say": {"a": 1}}\n', "knows the words"),
        (b'{"say": "clear", "by": 5}\n', "name"),
        (b'{"say": null, "ask": "state"}\n', "knows the words"),
        (b"", "JSON"),
    ],
)
def test_nonsense_is_refused_with_a_reason(console, client, path, heard, message, reason):
    assert reason in error_of(raw(path, message))
    assert client.say("hold") == "held"
    assert heard == []


def test_an_endless_line_is_refused(console, client, path):
    assert str(MAX_REQUEST_BYTES) in error_of(raw(path, b"x" * (MAX_REQUEST_BYTES + 1), half_close=False))
    assert client.words()
    with pytest.raises(LinkError, match=str(MAX_REQUEST_BYTES)):
        client.say("hold", "x" * MAX_REQUEST_BYTES)


def test_clients_that_hang_or_vanish_hold_up_nobody(console, client, path):
    idle = []
    for _ in range(20):
        with short_address(path) as (address, _folder):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address)
            connection.sendall(b'{"ask": "sta')
            idle.append(connection)
    assert client.say("hold") == "held"
    for connection in idle[:10]:
        connection.close()
    assert client.state()["step"] == 3
    for connection in idle[10:]:
        connection.close()


def test_with_too_many_clients_the_next_one_is_told(path, client):
    go, hanging = threading.Event(), threading.Semaphore(0)

    def slow(by):
        hanging.release()
        assert go.wait(30)
        return "held"

    with Console(path, dict, dict, {"hold": slow}):
        threads = [threading.Thread(target=client.say, args=("hold",)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert hanging.acquire(timeout=10)
        with pytest.raises(LinkError, match="Too many clients"):
            client.words()
        go.set()
        for thread in threads:
            thread.join()


def test_words_are_heard_while_every_look_hangs(path, client):
    go, hanging = threading.Event(), threading.Semaphore(0)

    def slow():
        hanging.release()
        assert go.wait(30)
        return {}

    with Console(path, slow, dict, {"hold": lambda by: "held"}):
        lookers = [threading.Thread(target=client.state) for _ in range(8)]
        for looker in lookers:
            looker.start()
        for _ in lookers:
            assert hanging.acquire(timeout=10)
        with pytest.raises(LinkError, match="too busy"):
            client.state()
        assert client.say("hold") == "held"
        go.set()
        for looker in lookers:
            looker.join()
        assert client.state() == {}


def test_the_socket_is_private_and_goes_with_its_session(path, client):
    with Console(path, dict, dict, {}) as console:
        mode = path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        console.close()
        assert not path.exists()
    with pytest.raises(NoSessionError, match="run_dir"):
        client.state()


def test_a_long_path_works(tmp_path):
    folder = tmp_path / ("a" * 120) / ("b" * 120)
    folder.mkdir(parents=True)
    with Console(console_path(folder), lambda: {"step": 1}, dict, {}):
        assert ConsoleClient(console_path(folder)).state() == {"step": 1}
        assert [entry.name for entry in folder.iterdir()] == ["console.sock"]
    with pytest.raises(LinkError, match="80 characters"):
        Console(folder / ("c" * 100), dict, dict, {})


def test_a_live_session_is_not_replaced(console, client, path):
    with pytest.raises(LinkError, match=rf"process {os.getpid()}\).*take another run_dir"):
        Console(path, dict, dict, {})
    assert client.state()["step"] == 3


def test_something_else_in_the_way_is_left_alone(path):
    path.write_text("notes")
    with pytest.raises(LinkError, match="no socket"):
        Console(path, dict, dict, {})
    assert path.read_text() == "notes"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LinkError, match="nowhere"):
        Console(tmp_path / "nowhere" / "console.sock", dict, dict, {})
    with pytest.raises(NoSessionError):
        ConsoleClient(tmp_path / "nowhere" / "console.sock").state()


def test_a_killed_session_is_replaced_and_found_again(path, client):
    code = (
        "import sys, time; from pathlib import Path; from robot.console.server import Console\n"
        "Console(Path(sys.argv[1]), lambda: {'step': 1}, dict, {}); print('up', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    assert client.state() == {"step": 1}
    child.kill()
    child.wait()
    child.stdout.close()
    assert path.exists()
    with pytest.raises(NoSessionError):
        client.state()
    with Console(path, lambda: {"step": 2}, dict, {}):
        assert client.state() == {"step": 2}
    with Console(path, lambda: {"step": 3}, dict, {}):
        assert client.state() == {"step": 3}


def test_an_answer_that_breaks_off_is_an_error(path, client):
    with socket.socket(socket.AF_UNIX) as liar, short_address(path) as (address, _):
        liar.bind(address)
        liar.listen()

        def serve(replies):
            for reply in replies:
                connection, _ = liar.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply)

        replies = [b"", b"{oops\n", b'{"type": "image/jpeg", "bytes": 9}\nabc', b'{"state": 7}\n']
        thread = threading.Thread(target=serve, args=(replies,))
        thread.start()
        with pytest.raises(NoSessionError, match="ended"):
            client.state()
        with pytest.raises(LinkError, match="JSON"):
            client.state()
        with pytest.raises(LinkError, match="3 bytes of 9"):
            client.frame("front")
        with pytest.raises(LinkError, match="without a state"):
            client.state()
        thread.join()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_refused():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    heard = []
    client = "\n".join(
        [
            "import os, socket, sys",
            "os.setuid(65534)",
            "connection = socket.socket(socket.AF_UNIX)",
            "try: connection.connect(sys.argv[1])",
            "except PermissionError: print('no permission'); sys.exit()",
            'try: connection.sendall(b\'{"say": "hold"}\\n\')',
            "except BrokenPipeError: pass",
            "print(connection.recv(4096).decode())",
        ]
    )
    try:
        folder.chmod(0o755)
        path = folder / "console.sock"

        def as_nobody():
            run = subprocess.run([sys.executable, "-c", client, str(path)], capture_output=True, text=True, check=True)
            return run.stdout.strip()

        with Console(path, dict, dict, {"hold": heard.append}):
            assert as_nobody() == "no permission"
            path.chmod(0o666)
            assert "user id 0" in error_of(as_nobody())
        assert heard == []
    finally:
        shutil.rmtree(folder)


def test_the_kernel_names_the_peer():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == (os.getpid(), os.getuid())


def test_nothing_of_the_link_or_the_learner_knows_the_console():
    for room in ("robot/link", "policies", "rewards", "drivers", "sim"):
        for file in (ROOT / room).rglob("*.py"):
            assert "console" not in "".join(line for line in file.read_text().splitlines() if "import" in line), file
