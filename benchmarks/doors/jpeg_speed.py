"""How many JPEG frames a second one core decodes on their way from BridgeData's folders into an import.

    python benchmarks/doors/jpeg_speed.py [--stored 256 256] [--wanted 96 96] [--frames 2000] [--json]

Trajectories of 40 steps with one camera are written to a temporary folder, and read by the source: pickles, files,
pixels, and the reduction to the size asked for (INTER_AREA after the decoder's own halving). One thread; fastest of
three passes, files in the page cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from trajectories.formats.bridge.reader import BridgeSource  # noqa: E402
from trajectories.formats.bridge.writer import BridgeSink  # noqa: E402
from trajectories.formats.foreign import ArrayFrames, ForeignEpisode, SinkSettings  # noqa: E402

STEPS, PASSES = 40, 3


def trajectory(size: tuple[int, int], seed: int) -> ForeignEpisode:
    """One with a picture of about a real one's detail: smooth shades, edges and a little noise."""
    (height, width), rng = size, np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (STEPS + 1, 8, 8, 3), np.uint8)
    smooth = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) for frame in coarse])
    noise = rng.normal(0, 4, smooth.shape)
    frames = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    frames[:, height // 3 : height // 2, width // 4 : width // 2] = 30
    columns = {"full_state": np.zeros((STEPS + 1, 7)), "actions": np.zeros((STEPS, 7))}
    return ForeignEpisode(str(seed), 5.0, columns, {"images0": ArrayFrames(frames)})


def read_all(folder: Path, wanted: tuple[int, int]) -> int:
    """Read every frame at the size asked for; their number."""
    source, count = BridgeSource(folder), 0
    for name in source.names():
        frames = source.read(name).images["images0"].read(at_least=wanted)
        count += sum(cv2.resize(f, wanted[::-1], interpolation=cv2.INTER_AREA).shape[0] == wanted[0] for f in frames)
    return count


def main() -> None:
    """Write, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    parser.add_argument("--wanted", type=int, nargs=2, default=(96, 96), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        with BridgeSink(folder, SinkSettings(5.0)) as sink:
            for seed in range(max(1, options.frames // (STEPS + 1))):
                sink.write(trajectory(tuple(options.stored), seed))
        kilobytes = np.mean([path.stat().st_size for path in folder.rglob("*.jpg")]) / 1e3
        best = 0.0
        for _ in range(PASSES):
            start = time.process_time()
            count = read_all(folder, tuple(options.wanted))
            best = max(best, count / (time.process_time() - start))
    result = {
        "frames_per_second": round(best), "stored": options.stored, "wanted": options.wanted,
        "kilobytes_a_file": round(float(kilobytes), 1),
    }  # fmt: skip
    print(json.dumps(result) if options.json else ", ".join(f"{key} {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
