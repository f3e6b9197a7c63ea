"""Several verbs of the command line in one fresh process, whose imports take longer than short work."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_CODE = """
import json, sys
from commands.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["regrasp", *words]
    main()
"""


def run_verbs(folder: Path, environment: Mapping[str, str], *calls: tuple[str, ...]) -> str:
    """What they print, run in the folder one after the other; each call is a verb and its settings."""
    ran = subprocess.run(
        [sys.executable, "-c", _CODE, json.dumps(calls)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
    return ran.stdout + ran.stderr
