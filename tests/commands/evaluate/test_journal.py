"""A journal on a disk that is full."""

import resource

import pytest

from commands.evaluate.journal import Journal


def episode(index):
    return {"direction": "forward", "mode": "stochastic", "index": index, "success": True, "instruction": "do it"}


def test_a_disk_that_takes_half_a_line_leaves_the_journal_as_it_was(tmp_path):
    path = tmp_path / "a.jsonl"
    journal = Journal(path, {"task": "t"})
    journal.add(episode(0))
    whole, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.add(episode(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == whole
    assert len(journal.episodes) == 1
    journal.add(episode(1))
    again = Journal(path, {"task": "t"})
    assert again.episodes == journal.episodes
    assert list(again.episodes.values()) == [episode(0), episode(1)]
