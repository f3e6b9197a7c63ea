"""How many frames a second one core imports, from the source's files to committed episodes.

    python benchmarks/doors/import_speed.py [--frames 2000] [--stored 256] [--wanted 96] [--json]

Sources of episodes of 40 steps with one camera are written to a temporary folder: BridgeData's folders of JPEG files,
LeRobot's AV1 videos, LeRobot's PNG columns. Measured apart: decoding and converting (everything but the store), and
with the store, which syncs each episode to the disk. A second is one of this process' CPU time: one core, whatever else
runs on the machine. Files are in the page cache; the fastest of three passes counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from factory.doors.inward import new_store_spec, prepare, to_episode  # noqa: E402
from factory.doors.mapping import DoorMapping, mapping_of  # noqa: E402
from factory.doors.outward import to_foreign  # noqa: E402
from robot.arms.registry import arm_model  # noqa: E402
from trajectories.formats.foreign import ForeignSource, SinkSettings  # noqa: E402
from trajectories.formats.registry import creator, open_source  # noqa: E402
from trajectories.labels import sparse_labels  # noqa: E402
from trajectories.store import TrajectoryStore  # noqa: E402
from trajectories.types import Episode, RobotSpec  # noqa: E402

STEPS, PASSES = 40, 3
SOURCES = {
    "BridgeData, JPEG": ("bridge", "bridge", False),
    "LeRobot v3.0, AV1": ("lerobot_v3", "regrasp_lerobot", False),
    "LeRobot v3.0, PNG": ("lerobot_v3", "regrasp_lerobot", True),
}
"""Name -> format, mapping, lossless."""


def episode(number: int, side: int) -> Episode:
    """One with pictures of about a real one's detail: smooth shades, edges, a little noise that stays."""
    rng = np.random.default_rng(number)
    start, end = (rng.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(2))
    shades = [cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC).astype(float) for part in (start, end)]
    noise = rng.normal(0, 4, (side, side, 3))
    mixed = [shades[0] * (1 - t / STEPS) + shades[1] * t / STEPS + noise for t in range(STEPS + 1)]
    images = np.clip(np.stack(mixed), 0, 255).astype(np.uint8)
    images[:, side // 3 : side // 2, side // 4 : side // 2] = 30
    rewards, terminated = sparse_labels(STEPS, "success")
    actions = np.zeros((STEPS, 7), np.float32)
    actions[:, 6] = 1.0
    proprio = np.zeros((STEPS + 1, 13), np.float32)
    return Episode(
        f"{number:020d}-0", "speed", "go", "forward", "success", {"front": images}, proprio,
        {"joints": np.arange(STEPS + 1, dtype=np.int64), "front": np.arange(STEPS + 1, dtype=np.int64)},
        actions, actions, rewards, terminated, np.zeros(STEPS, np.bool_), np.zeros(STEPS, np.uint8),
        np.full(STEPS, -1, np.int64), np.full(STEPS + 1, np.nan, np.float32),
    )  # fmt: skip


def write_source(path: Path, format: str, lossless: bool, episodes: list[Episode], side: int) -> None:
    """Export the episodes."""
    spec, arm = RobotSpec(cameras={"front": (side, side)}), arm_model("wx250s")
    names = {"observation.state": spec.proprio, "action": ("x", "y", "z", "roll", "pitch", "yaw", "gripper")}
    with creator(format)(path, SinkSettings(5.0, "wx250s", lossless, names)) as sink:
        for one in episodes:
            sink.write(to_foreign(one, spec, arm, format))


def mapping(name: str) -> DoorMapping:
    """A preset, composed as Hydra does."""
    parts = [yaml.safe_load((ROOT / f"configs/doors/{one}.yaml").read_text(encoding="utf-8")) for one in ("none", name)]
    merged = dict(parts[0])
    for key, value in parts[1].items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    merged.pop("defaults", None)
    return mapping_of(merged)


def rate(work: Callable[[], int]) -> float:
    """Frames per second of CPU time, of the fastest of three passes."""
    best = 0.0
    for _ in range(PASSES):
        start = time.process_time()
        frames = work()
        best = max(best, frames / (time.process_time() - start))
    return best


def convert(source: ForeignSource, chosen: DoorMapping, spec: RobotSpec, store: TrajectoryStore | None) -> int:
    """Convert every episode, and commit it; the number of frames."""
    description, frames = source.describe(), 0
    for name in source.names():
        made = to_episode(prepare(source.read(name), description, chosen, spec), description, chosen, spec, "speed")
        frames += len(made) + 1
        if store is not None:
            store.commit(made)
    return frames


def main() -> None:
    """Write, import, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--stored", type=int, default=256)
    parser.add_argument("--wanted", type=int, default=96)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    episodes = [episode(i, options.stored) for i in range(max(1, options.frames // (STEPS + 1)))]
    found: list[dict[str, Any]] = []
    for number, (name, (format, preset, lossless)) in enumerate(SOURCES.items()):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "source"
            write_source(path, format, lossless, episodes, options.stored)
            source, chosen = open_source(path), mapping(preset)
            spec = new_store_spec(chosen, RobotSpec().joints, (options.wanted, options.wanted), 5.0)
            converted = rate(lambda: convert(source, chosen, spec, None))  # noqa: B023
            with TrajectoryStore(Path(folder) / "store", spec) as store:
                stored = rate(lambda: convert(source, chosen, spec, store))  # noqa: B023
        found.append({"source": name, "converted_per_s": round(converted), "stored_per_s": round(stored), "n": number})
    if options.json:
        print(json.dumps(found))
        return
    size = f"{options.stored}x{options.stored} to {options.wanted}x{options.wanted}"
    for row in found:
        print(
            f"{row['source']:20} {size}: {row['converted_per_s']:6} frames/s converted, {row['stored_per_s']:6} stored"
        )


if __name__ == "__main__":
    main()
