"""Files that somebody else writes: whole or not at all, and nothing of a killed writer stays for ever."""

import errno
import os
import resource
import time

import numpy as np
import pytest

from trajectories.durable import append_to_file, replace_file, replacing, swap_file, write_tree
from trajectories.media import write_mp4


def test_the_file_is_replaced_or_stays(tmp_path):
    path = tmp_path / "a.bin"
    with replacing(path) as part:
        part.write_bytes(b"one")
    with pytest.raises(NotADirectoryError), replacing(path) as part:
        (part / "no folder").write_bytes(b"two")
    assert path.read_bytes() == b"one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_what_a_killed_writer_left_long_ago_is_deleted(tmp_path):
    long_ago, now, foreign = (tmp_path / name for name in (".a[0].bin.x1.part", ".a[0].bin.x2.part", ".b.bin.x3.part"))
    for file in (long_ago, now, foreign):
        file.write_bytes(b"half")
    for file in (long_ago, foreign):
        os.utime(file, (time.time() - 7200,) * 2)
    with replacing(tmp_path / "a[0].bin") as part:
        part.write_bytes(b"whole")
    assert not long_ago.exists()
    assert now.exists()  # somebody may be writing it
    assert foreign.exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_what_is_written_unless_the_umask_says_no(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a") as part:
            part.write_bytes(b"a")
        replace_file(tmp_path / "b", b"b")
        write_tree(tmp_path / "tree", {"c": b"c"})
        write_mp4(tmp_path / "d.mp4", [np.zeros((16, 16, 3), np.uint8)] * 2, 5.0)
    finally:
        os.umask(before)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.name: file.stat().st_mode & 0o777 for file in files} == dict.fromkeys(["a", "b", "c", "d.mp4"], mode)


def replace_whole(path, content):
    with replacing(path) as part:
        part.write_bytes(content)


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 1000 bytes: the system refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("write", [replace_file, replace_whole, swap_file, append_to_file])
def test_what_the_disk_refuses_names_the_file_and_leaves_it(tmp_path, small_files, write):
    path = tmp_path / "a.json"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="File too large") as refused:
        write(path, b"x" * 2000)
    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == b"before"


def test_what_the_disk_refuses_names_the_file_of_a_tree(tmp_path, small_files):
    with pytest.raises(OSError, match="File too large") as refused:
        write_tree(tmp_path / "tree", {"a/small": b"x", "a/large": b"x" * 2000})
    assert refused.value.filename == str(tmp_path / "tree" / "a" / "large")


def test_what_a_connection_refuses_meanwhile_names_no_file(tmp_path):
    with pytest.raises(ConnectionResetError) as refused, replacing(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert refused.value.filename is None
