"""Build the package under tests/fixtures/outside_package and unpack it, as an installer would, without a network."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from helpers import ROOT

SOURCE = ROOT / "tests" / "fixtures" / "outside_package"
_BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def install(folder: Path) -> Path:
    """Build a wheel from a copy of the source and unpack it; returns the folder for the search path."""
    source, installed = folder / "source", folder / "installed"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-c", _BUILD, str(folder)], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    return installed


def environment(installed: Path) -> dict[str, str]:
    """Variables of a process in which the package is installed."""
    paths = [str(installed), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MUJOCO_GL": "egl", "OMP_NUM_THREADS": "1"}
