"""Random sequences of holds, words, faults, kills, unplugging, restarts, take-overs and silence, by the thousand.

    python tests/soak_holds.py --sequences 10000 --workers 2

Each sequence is up to twelve things that happen to a robot in simulated time (`tests/helpers/held_machine.py`). While a
hold or a fault stands no servo's goal may move, and nothing but a person's word for exactly this instance may end it.
It ends with a table; with the first sequence that breaks the rule it ends at once.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # else tests/drivers is found in place of drivers

from helpers.held_machine import machine
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

CHUNK = 50
STEPS = 12
RATE_HZ = 40.0
"""Fewer cycles than on the arm, which makes 100 a second, so that more sequences fit into an hour."""


def chunk(number, size=CHUNK):
    """Counts of `size` sequences, drawn from this seed.

    Raises:
        UnwantedMotionError: With the sequence.
    """
    logging.disable(logging.CRITICAL)
    counts = {}
    plan = settings(
        max_examples=size, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        run_state_machine_as_test(seed(number)(machine(folder, counts, RATE_HZ)), settings=plan)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0, help="of the first fifty sequences")
    parser.add_argument("--out", type=Path, help="JSON with the figures, kept up to date")
    arguments = parser.parse_args()
    total, started = Counter(), time.monotonic()
    with multiprocessing.get_context("spawn").Pool(arguments.workers, maxtasksperchild=20) as pool:
        seeds = range(arguments.seed, arguments.seed + -(-arguments.sequences // CHUNK))
        for counts in pool.imap_unordered(partial(chunk, size=min(CHUNK, arguments.sequences)), seeds):
            total.update(counts)
            figures = {**total, "motions that should not have been": 0, "seconds": round(time.monotonic() - started)}
            print(f"{total['sequences']} sequences, {figures['seconds']} s", file=sys.stderr, flush=True)
            if arguments.out is not None:
                arguments.out.write_text(json.dumps(figures, indent=1))
    for what, count in sorted(figures.items()):
        print(f"| {what} | {count} |")


if __name__ == "__main__":
    main()
