"""What several tests share: small worlds, faked devices, programs that are started to be killed."""

import os
from pathlib import Path

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(HELPERS.parent)))}
"""For a program that imports rooms and these helpers."""
