"""In whatever order things happen: while a hold or a fault stands no goal moves, and only the word for it ends it.

`tests/soak_holds.py` plays ten thousand sequences and more.
"""

import subprocess
import sys

from helpers import ROOT
from helpers.held_machine import machine
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


def test_no_sequence_moves_a_goal_while_something_stands(tmp_path):
    counts = {}
    plan = settings(
        max_examples=150, stateful_step_count=12, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine(tmp_path, counts, rate_hz=50.0), settings=plan)
    assert counts["sequences"] >= 150
    assert counts["looks"] > 2_500
    for what in ("commands", "actions", "holds", "kills", "starts", "trips", "unplugged", "words taken"):
        assert counts[what] > 5, what  # Hypothesis draws by the constants of all loaded modules, so that these vary


def test_the_soak_runs_as_its_page_says(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "soak_holds.py"), "--sequences", "2", "--workers", "1"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "motions that should not have been" in ran.stdout
