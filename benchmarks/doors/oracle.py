"""Interpreters of other projects: environments that are made once from package names, and scripts that run in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Oracle:
    """Another project's interpreter.

    Attributes:
        python: Of its environment.
        script: What it runs.
    """

    python: Path
    script: Path

    def __call__(self, *arguments: str) -> dict[str, Any]:
        """Run the script; its last line, of JSON.

        Raises:
            RuntimeError: The script failed; the message has the end of what it said.
        """
        done = subprocess.run(
            [str(self.python), str(self.script), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.script.name} {arguments[0]} failed:\n{done.stdout[-500:]}{done.stderr[-3000:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


def environment(
    folder: Path,
    packages: Sequence[str],
    bare: Sequence[str] = (),
    borrowed: Sequence[str] = (),
    interpreter: str = sys.executable,
) -> Path:
    """An environment with these packages, made once.

    Args:
        folder: Where; one that is complete is kept.
        packages: Their names, with versions.
        bare: Packages that are installed without what they depend on.
        borrowed: Folders in which it looks for what else it needs, in this order.
        interpreter: Whose environment it is.

    Returns:
        Its interpreter.
    """
    python, ready = folder / "bin/python", folder / "ready.json"
    wanted = json.dumps([packages, bare, borrowed, interpreter])
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "-q", "--no-python-downloads", "--python", interpreter, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--python", str(python)]
    for names in ([*packages], ["--no-deps", *bare] if bare else []):
        if names:
            subprocess.run([*install, *names], check=True)
    if borrowed:
        place = subprocess.check_output([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        path = Path(place.decode().strip()) / "borrowed.pth"
        path.write_text("".join(f"{line}\n" for line in borrowed), encoding="utf-8")
    ready.write_text(wanted, encoding="utf-8")
    return python
