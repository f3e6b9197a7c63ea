"""Kill actor, learner or both at random moments of a real fine-tuning run, and count the episodes.

    python tests/soak_kills.py finetune.steps=N [kills=10] [kill_seed=0] [key=value of `regrasp finetune` ...]

Not collected by pytest: it takes as long as the run, and may go on with a complete run by more steps. Every episode
that ever appeared in the outbox or in the learner's store (both are looked at 20 times a second, apart from the
product's own counts) must be in the store at the end, which must hold the steps that the actor and the learner count.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from helpers.processes import children

from trajectories.store import TrajectoryStore

STARTS = 4
"""Kills of one process that `regrasp finetune` answers by a new start before it gives up."""


def main() -> None:
    """Run, kill, count, print."""
    own = dict(argument.split("=") for argument in sys.argv[1:] if argument.split("=")[0] in ("kills", "kill_seed"))
    overrides = [argument for argument in sys.argv[1:] if argument.split("=")[0] not in own]
    kills, rng = int(own.get("kills", 10)), random.Random(int(own.get("kill_seed", 0)))
    run_dir = Path(
        next((o.split("=", 1)[1] for o in overrides if o.startswith("run_dir=")), "runs/pot_pick_place/seed0")
    )
    folder = run_dir / "finetune_regrasp"
    total = int(next((o.split("=", 1)[1] for o in overrides if o.startswith("finetune.steps=")), 6000))
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for part in ("outbox", "episodes"):
                seen.update(path.name for path in (folder / part / "episodes").glob("*-*") if path.is_dir())

    def steps() -> int:
        try:
            return int(json.loads((folder / "actor.json").read_text())["steps"])
        except (OSError, ValueError):
            return 0

    begun = steps()
    moments = sorted(rng.uniform(begun, begun + 0.95 * (total - begun)) for _ in range(kills))
    command = [sys.executable, "-m", "commands", "finetune", *overrides, "progress=false"]
    threading.Thread(target=watch, daemon=True).start()
    process = subprocess.Popen(command)
    used = {"actor": 0, "learner": 0}
    for moment in moments:
        while steps() < moment and process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 2.0))
        victims = rng.choice([["actor"], ["learner"], ["actor", "learner"]])
        if any(used[victim] >= STARTS for victim in victims):
            process.send_signal(signal.SIGINT)
            process.wait()
            process, used = subprocess.Popen(command), {"actor": 0, "learner": 0}
            time.sleep(15)
        for victim in victims:
            used[victim] += 1
            for pid in children(process.pid, victim):
                os.kill(pid, signal.SIGKILL)
        print(f"at {steps():5d} steps: killed {' and '.join(victims)}", flush=True)
    while process.wait() != 0:
        process = subprocess.Popen(command)
    stop.set()
    with (
        TrajectoryStore(folder / "episodes", read_only=True) as store,
        TrajectoryStore(folder / "outbox", read_only=True) as outbox,
    ):
        stored = {info.id: info.length for info in store.infos()}
        waiting = len(outbox)
    lost = seen - set(stored)
    counted = steps()
    print(f"{len(stored)} episodes with {sum(stored.values())} steps stored; {len(seen)} seen on the way")
    print(f"lost: {len(lost)}; waiting in the outbox: {waiting}; steps by the actor's count: {counted}")
    if lost or waiting or counted != sum(stored.values()):
        sys.exit("an episode was lost or counted twice")


if __name__ == "__main__":
    main()
