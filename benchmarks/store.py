"""How long a large trajectory store takes to open and to read through.

    python benchmarks/store.py [--episodes 10000] [--steps 40] [--folder FOLDER] [--json]

The store holds copies of one episode, a smooth image of 96 x 96 x 3 with noise a step, written without syncing each
(that is not what is measured); it is deleted afterwards. Opening is timed with the catalogue, as after a closed writer,
and without, as after a killed one or of an earlier version. A pass reads every episode once, verified byte by byte.
Fastest of three openings, one pass, one process, files in the page cache where they fit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.append(str(Path(__file__).resolve().parents[1]))

from trajectories.catalogue import CATALOGUE
from trajectories.episode_zarr import encode
from trajectories.labels import sparse_labels
from trajectories.manifest import MANIFEST, Manifest, describe
from trajectories.store import TrajectoryStore
from trajectories.types import ACTION_SIZE, Episode, RobotSpec

SPEC = RobotSpec()
OPENINGS = 3


def episode(steps: int) -> Episode:
    """An episode of random numbers and of images about as compressible as the twin's."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:96, 0:96]
    smooth = (80 + 0.5 * rows + 0.4 * columns)[None, :, :, None]
    images = (smooth + rng.integers(0, 6, (steps + 1, 96, 96, 3))).astype(np.uint8)
    rewards, terminated = sparse_labels(steps, "success")
    actions = rng.uniform(-1, 1, (steps, ACTION_SIZE)).astype(np.float32)
    times = 200_000_000 * np.arange(steps + 1, dtype=np.int64)
    return Episode(
        id="0",
        task="pot_pick_place",
        instruction="put the pot on the rack",
        direction="forward",
        outcome="success",
        images={"front": images},
        proprio=rng.normal(size=(steps + 1, len(SPEC.proprio))).astype(np.float32),
        t_ns={"joints": times, "front": times},
        proposed=actions,
        executed=actions,
        rewards=rewards,
        terminated=terminated,
        truncated=np.zeros(steps, np.bool_),
        source=np.zeros(steps, np.uint8),
        policy_version=np.zeros(steps, np.int64),
        success_probability=np.zeros(steps + 1, np.float32),
    )


def fill(folder: Path, episodes: int, steps: int) -> int:
    """Make a store; returns its bytes."""
    with TrajectoryStore(folder, SPEC) as store:
        digest = store.spec.digest
    first = episode(steps)
    about = describe(first)
    files = encode(first, SPEC, about.to_dict())
    size = 0
    for number in tqdm(range(episodes), desc="writing", unit="episode", dynamic_ncols=True):
        info = replace(about, id=f"{number:020d}-00000000", metadata={"seed": number})
        head = json.loads(files["zarr.json"])
        head["attributes"] |= info.to_dict()
        mine = files | {"zarr.json": json.dumps(head).encode()}
        mine[MANIFEST] = Manifest.of(info, digest, mine).to_bytes()
        for name, content in mine.items():
            path = folder / "episodes" / info.id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            size += len(content)
    return size


def opening_s(folder: Path, *, catalogued: bool) -> tuple[float, float]:
    """Seconds, and those of the processor, of the fastest of three openings for reading."""
    found = []
    for _ in range(OPENINGS):
        if not catalogued:
            (folder / CATALOGUE).unlink(missing_ok=True)
        start, cpu = time.perf_counter(), time.process_time()
        TrajectoryStore(folder, read_only=True)
        found.append((time.perf_counter() - start, time.process_time() - cpu))
    return min(found)


def measure(folder: Path, episodes: int, steps: int) -> dict[str, float]:
    """Figures of a new store in `folder`."""
    size = fill(folder, episodes, steps)
    found = {"episodes": episodes, "steps": steps, "megabytes": size / 1e6}
    for name, catalogued in (("opening without catalogue", False), ("opening", True)):
        if catalogued:
            TrajectoryStore(folder).close()  # writes the catalogue
        found[f"{name}, s"], found[f"{name}, s of processor"] = opening_s(folder, catalogued=catalogued)
    store = TrajectoryStore(folder, read_only=True)
    start = time.perf_counter()
    cpu = time.process_time()
    for id in tqdm(store.ids(), desc="reading", unit="episode", dynamic_ncols=True):
        store.read(id)
    found["a pass, s"] = time.perf_counter() - start
    found["a pass, s of processor"] = time.process_time() - cpu
    return found


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="where the store is made; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder) / "store", options.episodes, options.steps)
    print(json.dumps(found) if options.json else "\n".join(f"{name:42} {value:10.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
