"""How fast a trajectory store in a bucket is read, beside the same store on the disk.

    python benchmarks/buckets.py [--episodes 200] [--steps 40] [--rounds 5] [--folder FOLDER] [--json]
    python benchmarks/buckets.py --pretrain RUN/data [--rounds 3] [SETTING=VALUE ...]

The first opens the store and reads every episode once, verified byte by byte: from the disk, from the bucket without
copies (cold), from the bucket with copies of all episodes (warm). The second runs `regrasp pretrain` from a store that
`regrasp collect` made, on the disk and in the bucket, warm, with the settings that are given. Disk and bucket take
turns; the figures are medians over the rounds, seconds of the clock and of the processor, and ratios to the disk's.

The bucket is s3://BUCKET/PREFIX of --address on the server that AWS_ENDPOINT_URL names (docs/buckets.md); without
--address the tests' server (nanio) is started on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
sys.path.append(str(ROOT / "tests"))

from helpers.s3_server import s3_server  # noqa: E402

from benchmarks.store import fill  # noqa: E402
from trajectories.s3.path import CopySettings, S3Path, StorePath  # noqa: E402
from trajectories.s3.upload import upload  # noqa: E402
from trajectories.store import TrajectoryStore  # noqa: E402

Spent = tuple[float, float]
"""Seconds of the clock, and of the processor."""


@contextlib.contextmanager
def bucket(address: str | None, folder: Path) -> Iterator[str]:
    """The address to write to: the one that was given, or one of a server that is started here."""
    if address is not None:
        yield address
        return
    with s3_server(folder / "buckets") as server:
        os.environ.update(server.variables())
        yield "s3://lab/benchmark"


def timed(work: Callable[[], object]) -> Spent:
    """What some work of this process and its children takes."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start, sum(sum(resource.getrusage(kind)[:2]) for kind in kinds) - before


def read_through(path: StorePath) -> None:
    """Open a store and read every episode."""
    store = TrajectoryStore(path, read_only=True)
    for id in store.ids():
        store.read(id)


def passes(options: argparse.Namespace, folder: Path, address: str) -> dict[str, list[Spent]]:
    """What passes over a store that is made here take."""
    size = fill(folder / "store", options.episodes, options.steps)
    print(f"{options.episodes} episodes of {options.steps} steps, {size / 1e6:.0f} MB", file=sys.stderr)
    local = TrajectoryStore(folder / "store", read_only=True)
    names = ("export", "disk", "bucket, cold", "bucket, warm", "opening, disk", "opening, warm")
    found: dict[str, list[Spent]] = {name: [] for name in names}
    found["export"].append(timed(lambda: upload(local, local.ids(), S3Path.of(address))))
    for number in range(options.rounds):
        there = S3Path.of(address, CopySettings(folder / f"copies{number}"))
        found["disk"].append(timed(lambda: read_through(folder / "store")))
        found["bucket, cold"].append(timed(lambda there=there: read_through(there)))  # type: ignore[misc]
        found["disk"].append(timed(lambda: read_through(folder / "store")))
        found["bucket, warm"].append(timed(lambda there=there: read_through(there)))  # type: ignore[misc]
        found["opening, disk"].append(timed(lambda: TrajectoryStore(folder / "store", read_only=True)))
        found["opening, warm"].append(timed(lambda there=there: TrajectoryStore(there, read_only=True)))  # type: ignore[misc]
    return found


def trainings(options: argparse.Namespace, folder: Path, address: str) -> dict[str, list[Spent]]:
    """What `regrasp pretrain` takes, from a store on the disk and from its copy in the bucket."""
    copies = folder / "copies"
    store, there = TrajectoryStore(options.pretrain, read_only=True), S3Path.of(address, CopySettings(copies))
    upload(store, store.ids(), there, (".robot.json",))
    read_through(there)
    found: dict[str, list[Spent]] = {"disk": [], "bucket, warm": []}
    for number in range(options.rounds):
        for name, data in (("disk", str(options.pretrain.resolve())), ("bucket, warm", address)):
            command = [sys.executable, "-m", "commands", "pretrain", f"data=[{data}]", f"s3_copies.folder={copies}"]
            command += [f"run_dir={folder}/{name[:4]}{number}", "progress=false", *options.settings]
            run = [*command]
            found[name].append(timed(lambda run=run: subprocess.run(run, cwd=ROOT, check=True, stdout=2)))  # type: ignore[misc]
    return found


def summary(found: dict[str, list[Spent]]) -> dict[str, dict[str, float]]:
    """Medians, and ratios to the disk's."""
    middle = {name: [statistics.median(part) for part in zip(*rounds, strict=True)] for name, rounds in found.items()}
    return {
        name: {
            "s": clock,
            "s of processor": processor,
            "to disk": clock / middle["disk"][0],
            "to disk, processor": processor / middle["disk"][1],
        }
        for name, (clock, processor) in middle.items()
    }


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pretrain", type=Path, help="store that pre-training is timed on instead of passes")
    parser.add_argument("--folder", type=Path, help="where everything is made; a temporary folder by default")
    parser.add_argument("--address", help="s3://BUCKET/PREFIX of a server of one's own, where nothing is yet")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("settings", nargs="*", help="of regrasp pretrain")
    options = parser.parse_intermixed_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as made, bucket(options.address, Path(made)) as address:
        measure = passes if options.pretrain is None else trainings
        found = summary(measure(options, Path(made), address))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'':14}" + "".join(f"{name:>20}" for name in found["disk"]))
    for name, row in found.items():
        print(f"{name:14}" + "".join(f"{value:20.2f}" for value in row.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
