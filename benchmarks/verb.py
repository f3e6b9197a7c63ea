"""Run a verb of Regrasp in a process of its own, as a person would type it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, in which verbs are run."""


def regrasp(verb: str, *settings: str) -> None:
    """Run it to its end, without a window.

    Raises:
        CalledProcessError: It failed.
    """
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    subprocess.run([sys.executable, "-m", "commands", verb, *settings], cwd=ROOT, env=environment, check=True)
