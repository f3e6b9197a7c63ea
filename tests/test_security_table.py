"""The table in docs/security.md: each row names tests that there are; and the rows that no other file tests."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.link_data import SPEC, make_episode
from helpers.watch_session import PretendedSession

from commands.watch.server import WatchServer
from robot.console.client import ConsoleClient
from robot.console.wire import console_path
from robot.link.certificates import run_pair
from trajectories.errors import LinkError
from trajectories.store import TrajectoryStore

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder():
    """A run's folder that every account may enter, as with the usual umask."""
    found = Path(tempfile.mkdtemp(dir="/tmp"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def as_nobody(code, *arguments):
    """What a process of another account prints; `code` runs after it has become that account."""
    lines = f"import os, socket, sys\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n{code}"
    command = [sys.executable, "-c", lines, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def rows():
    """Cells of the table's rows: who, what, may, tests."""
    text = (ROOT / "docs" / "security.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_row_names_tests_that_there_are():
    assert len(rows()) >= 20
    for who, what, may, tests in rows():
        assert who, what
        assert may.startswith(("no", "yes")), what
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, what
        for file, test in named:
            tree = ast.parse((ROOT / "tests" / file).read_text())
            assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (file, test)


def test_every_door_and_everybody_is_in_the_table():
    said = "\n".join(f"{who} {what}" for who, what, _, _ in rows())
    for word in ("account", "machine", "token", "web page", "console", "page", "link", "files"):
        assert word in said


@only_root
def test_another_account_is_taken_for_no_session(folder):
    folder.chmod(0o777)
    code = "\n".join(
        [
            "listener = socket.socket(socket.AF_UNIX)",
            "listener.bind(sys.argv[1])",
            "os.chmod(sys.argv[1], 0o666)",
            "listener.listen(1)",
            "print('listening', flush=True)",
            "connection, _ = listener.accept()",
            "print(len(connection.recv(4096)), flush=True)",
        ]
    )
    lines = f"import os, socket, sys\nos.setuid(65534)\n{code}"
    process = subprocess.Popen([sys.executable, "-c", lines, console_path(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "listening\n"
        with pytest.raises(LinkError, match="65534"):
            ConsoleClient(console_path(folder)).say("hold")
        assert process.communicate(timeout=60)[0] == "0\n"  # it heard nothing
    finally:
        process.kill()
        process.communicate()


@only_root
def test_another_account_changes_no_files_of_the_run_and_reads_no_secrets(folder):
    pair = run_pair(folder)
    with TrajectoryStore(folder / "data", SPEC) as store, PretendedSession(console_path(folder)):
        store.commit(make_episode(1))
        code = "\n".join(
            [
                "for path in sys.argv[1:]:",
                "    for mode in ('rb', 'r+b', 'ab'):",
                "        try: open(path, mode).close()",
                "        except OSError as error: print(type(error).__name__)",
                "        else: print(mode)",
            ]
        )
        manifest = next(path for path in (folder / "data").rglob("*") if path.is_file() and path.stat().st_mode & 0o4)
        assert as_nobody(code, manifest) == ["rb", "PermissionError", "PermissionError"]
        assert as_nobody(code, pair.key) == ["PermissionError"] * 3
        code = "\n".join(
            [
                "for folder in sys.argv[1:]:",
                "    for do in (lambda: open(f'{folder}/new', 'x'), lambda: os.rename(folder, folder + 'x')):",
                "        try: do()",
                "        except PermissionError: print('refused')",
            ]
        )
        assert as_nobody(code, folder, folder / "data") == ["refused"] * 4


def test_on_loopback_the_page_listens_to_this_computer_only(tmp_path):
    with WatchServer("127.0.0.1", 0, tmp_path) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        host = socket.gethostbyname(socket.gethostname())
        if not host.startswith("127."):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, server.server_address[1]), timeout=20)


def test_the_console_has_no_network_address(tmp_path):
    with PretendedSession(console_path(tmp_path)) as session:
        assert session.console._listener.family == socket.AF_UNIX
