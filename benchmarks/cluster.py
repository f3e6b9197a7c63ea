"""An evaluation by two processes of this machine, by two nodes of a Ray cluster, and by two of which one is killed.

    python benchmarks/cluster.py [--episodes 10] [--rounds 3] [--task bin_weight]

Runs `regrasp evaluate` of one policy three ways in turn: `workers=2`, `engine=ray` on two nodes of one processor each,
and the same with the second node killed (its processes by SIGKILL) once a quarter of the episodes is done. Says the
seconds of each command, start and end included, and the digest of its results: `result.json` without its own seconds,
and the films. Both nodes are on this machine, on loopback; each round has a fresh cluster. The policy is the tests'
small one: what it does is nothing worth, and takes as long as any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
sys.path.append(str(ROOT / "tests"))

from helpers.ray_cluster import TwoNodes, two_nodes  # noqa: E402
from helpers.small_policies import policy_for  # noqa: E402


def digest_of(folder: Path) -> str:
    """Of all that an evaluation found."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".mp4")):
        content = path.read_bytes()
        if path.name == "result.json":
            content = json.dumps({**json.loads(content), "seconds": None}).encode()
        found.update(f"{path.relative_to(folder)}\0".encode() + content)
    return found.hexdigest()[:12]


def episodes_done(folder: Path) -> int:
    """Episodes that are on the disk while the evaluation goes on."""
    return sum(len(path.read_bytes().splitlines()) - 1 for path in folder.rglob("unfinished_*.jsonl"))


def evaluated(folder: Path, settings: list[str], beside: Callable[[], None] = lambda: None) -> tuple[float, str]:
    """Seconds of one command, and the digest of what it found; `beside` runs meanwhile."""
    command = [sys.executable, "-m", "commands", "evaluate", f"run_dir={folder}", *settings]
    other = threading.Thread(target=beside, daemon=True)
    began = time.perf_counter()
    other.start()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    other.join()
    return seconds, digest_of(folder)


def kill_after(cluster: TwoNodes, folder: Path, episodes: int) -> None:
    """Kill the second node once so many episodes are done."""
    while episodes_done(folder) < episodes:
        time.sleep(0.02)
    cluster.kill()


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", default="bin_weight")
    asked = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")
    seconds: dict[str, list[float]] = {"workers=2": [], "engine=ray": [], "engine=ray, a node killed": []}
    digests: dict[str, set[str]] = {name: set() for name in seconds}
    with tempfile.TemporaryDirectory() as made:
        policy = policy_for(asked.task, Path(made, "policy"))
        settings = [f"task={asked.task}", f"checkpoint={policy}", f"evaluate.episodes={asked.episodes}", "profile=tiny"]
        settings += ["evaluate.modes=[stochastic]", "robot.image_size=64", "evaluate.videos=1", "progress=false"]
        for number in range(asked.rounds):
            folders = {name: Path(made, f"{number}_{place}") for place, name in enumerate(seconds)}
            here, there, killed = seconds
            got = {here: evaluated(folders[here], [*settings, "workers=2"])}
            with two_nodes() as cluster:
                settings_there = [*settings, "engine=ray", f"engine.address={cluster.address}"]
                got[there] = evaluated(folders[there], settings_there)
                end = lambda: kill_after(cluster, folders[killed], asked.episodes // 2)  # noqa: B023, E731
                got[killed] = evaluated(folders[killed], settings_there, end)
            for name, (once, digest) in got.items():
                seconds[name].append(once)
                digests[name].add(digest)
    print(f"\n{2 * asked.episodes} episodes of {asked.task}, {asked.rounds} rounds\n")
    print("| | seconds, median (of each round) | results |\n|---|---|---|")
    for name, took in seconds.items():
        each = ", ".join(f"{one:.1f}" for one in took)
        print(f"| `{name}` | {statistics.median(took):.1f} ({each}) | {', '.join(sorted(digests[name]))} |")


if __name__ == "__main__":
    main()
