"""Only one process writes into a folder; the lock goes with its process."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT

from trajectories.errors import ConfigError
from trajectories.writer_lock import only_writer, require_no_writer


def test_a_second_writer_is_refused_with_the_first_ones_number_and_may_come_after(tmp_path):
    folder = tmp_path / "pretrained"
    with only_writer(folder):
        with pytest.raises(ConfigError, match=rf"already runs in .*pretrained \(process {os.getpid()}\)"):
            only_writer(folder).__enter__()
        with pytest.raises(ConfigError, match=rf"already runs in .*pretrained \(process {os.getpid()}\)"):
            require_no_writer(folder)
        with only_writer(tmp_path / "other"):
            pass
    require_no_writer(folder)
    require_no_writer(tmp_path / "nowhere" / "pretrained")
    with only_writer(folder):
        assert not folder.exists()


def test_a_killed_writer_leaves_no_lock(tmp_path):
    code = (
        f"import os, signal, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from trajectories.writer_lock import only_writer\n"
        f"with only_writer(Path({str(tmp_path / 'pretrained')!r})): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with only_writer(tmp_path / "pretrained"):
        pass
