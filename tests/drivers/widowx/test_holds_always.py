"""In whatever order things happen: while a hold or a fault stands no goal moves, and only the word for it ends it.

`tests/soak_holds.py` plays ten thousand sequences and more.
"""

from helpers.held_machine import machine
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


def test_no_sequence_moves_a_goal_while_something_stands(tmp_path):
    counts = {}
    plan = settings(
        max_examples=250, stateful_step_count=12, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine(tmp_path, counts, rate_hz=50.0), settings=plan)
    assert counts["sequences"] >= 250
    assert counts["looks"] > 2_500
    for what in ("commands", "actions", "holds", "kills", "starts", "trips", "unplugged", "words taken"):
        assert counts[what] > 20, what
