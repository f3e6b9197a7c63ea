"""`train-reward` puts a whole judge in the place of the one before, or leaves that one."""

import errno
import os
import subprocess
import sys

import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.killed_training import PARTS, run_folder, trainer

from factory.judges import judge_in_use, keep_retrained, keep_trained
from trajectories import durable
from trajectories.errors import ConfigError

BESIDE = {".reward.lock", "reward"}


def judge_of(run):
    """What the parts of the judge in use say; where it lies; its log."""
    folder = judge_in_use(run)
    (words,) = {(folder / name).read_text() for name in PARTS}
    return words, folder, (folder / "calls.jsonl").read_text().split()


def require_first_or_second(run):
    """The judge in use is the session's as it was, or the new one; what is no part of a judge is there in any case."""
    words, folder, log = judge_of(run)
    if words == "session":
        assert (folder.name, log) == ("0001", ["session"])
        assert {(folder.parents[1] / name).read_text() for name in (*PARTS, "home.npy")} == {"first"}
        root = folder.parents[1]
    else:
        assert (words, log) == ("second", ["first", "second"])
        root = folder
        assert not (root / "home.npy").exists()  # a part of the judge before
    assert (root / "evaluation.json").read_text() == "figures"
    assert {(root / "retrained" / "0001" / name).read_text() for name in PARTS} == {"session"}
    return words


def test_killed_between_any_two_writes_one_of_the_two_judges_is_whole_and_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    subprocess.run([sys.executable, HELPERS / "killed_training.py", tmp_path], env=ENVIRONMENT, check=True)
    runs = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(runs) > 40
    words = [require_first_or_second(run) for run in runs]
    assert words == sorted(words, key=["session", "second"].index), "once in its place, it stays"
    assert words[-1] == "second"
    for run in runs:  # the next one finds nothing in its way and leaves nothing
        assert keep_trained(run, trainer("third")) == "third"
        assert judge_of(run)[0] == "third"
        assert {path.name for path in run.iterdir()} == BESIDE


def test_a_disk_that_is_full_at_any_write_leaves_one_of_the_two(tmp_path, monkeypatch):
    """It refuses for good, or once."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    found, named = [], []
    for number in range(200):
        run = tmp_path / str(number)
        run_folder(run)
        made = []

        def refuse(call, made=made, number=number, once=number % 2):
            def guarded(*arguments):
                made.append(call)
                if len(made) == number + 1 or (len(made) > number and not once):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return call(*arguments)

            return guarded

        with monkeypatch.context() as patch:
            for name in ("write", "fsync"):
                patch.setattr(durable.os, name, refuse(getattr(os, name)))
            try:
                keep_trained(run, trainer("second"))
            except OSError as error:
                named.append(str(error.filename))
        found.append(require_first_or_second(run))
        if number % 2:
            assert {path.name for path in run.iterdir()} == BESIDE
        if len(made) <= number:
            break
    assert found[0] == "session"
    assert found[-1] == "second"
    assert len(found) > 15
    assert all(name.startswith(str(tmp_path)) for name in named)


def test_two_at_once_are_refused_and_the_first_goes_on(tmp_path):
    def train(folder):
        for other in (lambda: keep_trained(tmp_path, trainer("b")), lambda: keep_retrained(tmp_path, trainer("b"))):
            with pytest.raises(ConfigError, match=rf"already runs in .*reward \(process {os.getpid()}\)"):
                other()
        return trainer("a")(folder)

    assert keep_trained(tmp_path, train) == "a"
    assert judge_of(tmp_path)[0] == "a"


def test_a_judge_that_is_a_link_to_that_of_another_run_leaves_the_other(tmp_path):
    keep_trained(tmp_path / "one", trainer("one"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "reward").symlink_to(tmp_path / "one" / "reward")
    keep_trained(tmp_path / "two", trainer("two"))
    assert judge_of(tmp_path / "one")[0] == "one"
    assert judge_of(tmp_path / "two")[0] == "two"
    assert {path.name for path in (tmp_path / "two").iterdir()} == BESIDE
