"""Files that somebody else writes: whole or not at all, and nothing of a killed writer stays for ever."""

import os
import time

import pytest

from trajectories.durable import replacing


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
