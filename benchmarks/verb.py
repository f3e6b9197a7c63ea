"""Run a verb of Regrasp in a process of its own, as a person would type it, or begin a process beside this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from drivers.parent_link import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, in which verbs are run."""


def regrasp(verb: str, *settings: str) -> None:
    """Run it to its end, without a window.

    Raises:
        CalledProcessError: It failed.
    """
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    subprocess.run([sys.executable, "-m", "commands", verb, *settings], cwd=ROOT, env=environment, check=True)


def begin(command: Sequence[str], output: IO[bytes], stdin: int | None = None) -> subprocess.Popen[bytes]:
    """Start a process of one thread and a session of its own, without a window, that ends with this one.

    Args:
        command: Program and arguments.
        output: Gets what it prints.
        stdin: See `subprocess.Popen`.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment.setdefault("MUJOCO_GL", "egl")
    return subprocess.Popen(
        command, cwd=ROOT, stdin=stdin, stdout=output, stderr=output, env=environment, start_new_session=True,
        preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),
    )  # fmt: skip
