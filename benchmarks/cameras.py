"""What a frame costs on its way out of a camera's process, beside the bare copy of its memory.

    python benchmarks/cameras.py            a table for people
    python benchmarks/cameras.py --json     one JSON object on standard output

The camera is a stand-in that sends 30 images of 640 x 480 pixels a second through the unmodified process, ring and
watchdog. `latest` is what the control loop calls: the best of several rounds, as in `timeit`. `receipt to reader` is
the time from the driver handing over an image until a reader that looks all the time has its copy: colour conversion,
digest, resizing, and one copy in and one out; its median and 99th percentile over all frames of a few seconds.
"""

from __future__ import annotations

import argparse
import json
import time
import timeit
from pathlib import Path

import numpy as np

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.ring import FrameRing
from drivers.cameras.uvc import UvcConfig
from trajectories.types import UInt8

DEVICE_SIZE = (480, 640)
SIZES = ((96, 96), (480, 640))
FPS = 30
LONG_NS = 10_000_000_000


class SteadyCapture:
    """Stands in for `cv2.VideoCapture`: two images in turn, `FPS` a second."""

    def __init__(self, device: str) -> None:
        rng = np.random.default_rng(0)
        self._images = [rng.integers(0, 256, (*DEVICE_SIZE, 3), dtype=np.uint8) for _ in range(2)]
        self._count, self._start_s = 0, time.monotonic()

    def isOpened(self) -> bool:
        """Always."""
        return True

    def set(self, prop: int, value: float) -> bool:
        """Accepted."""
        return True

    def get(self, prop: int) -> float:
        """Width (3) and height (4), as OpenCV numbers them."""
        return float({3: DEVICE_SIZE[1], 4: DEVICE_SIZE[0]}.get(prop, 0))

    def read(self) -> tuple[bool, UInt8]:
        """The next image when it is due."""
        self._count += 1
        time.sleep(max(0.0, self._start_s + self._count / FPS - time.monotonic()))
        return True, self._images[self._count % 2]

    def release(self) -> None:
        """Nothing to release."""


def best_us(timer: timeit.Timer, rounds: int) -> float:
    """Microseconds of one call in the fastest round."""
    number, _ = timer.autorange()
    return min(timer.repeat(rounds, number)) / number * 1e6


def receipt_to_reader_us(ring: FrameRing, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile, us, of the time from a frame's receipt until its copy is here."""
    found: list[float] = []
    last, end = ring.written, time.monotonic() + seconds
    while time.monotonic() < end:
        if ring.written != last:
            frame = ring.newest()
            now_ns = time.monotonic_ns()
            last = ring.written
            if frame is not None:
                found.append((now_ns - frame.stamp.t_ns) / 1e3)
    return float(np.median(found)), float(np.percentile(found, 99))


def measure_size(size: tuple[int, int], rounds: int, seconds: float) -> dict[str, float]:
    """All figures of one frame size, us."""
    source = UvcConfig("steady", DEVICE_SIZE, FPS, stand_in=f"{Path(__file__).stem}:SteadyCapture")
    patience = Patience(frozen_s=60)
    with ProcessCamera(CameraConfig("front", source, size, patience=patience)).wait() as camera:
        image = camera.latest(LONG_NS).image
        latest = best_us(timeit.Timer(lambda: camera.latest(LONG_NS)), rounds)
        copy = best_us(timeit.Timer(image.copy), rounds)
        with FrameRing.attach(camera.address) as ring:
            median, high = receipt_to_reader_us(ring, seconds)
    return {
        "latest_us": round(latest, 2),
        "copy_us": round(copy, 2),
        "receipt_to_reader_median_us": round(median, 1),
        "receipt_to_reader_p99_us": round(high, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that the best is taken of (default 7)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of frames for the way to the reader (default 5)")
    options = parser.parse_args()
    figures = {f"{size[0]}x{size[1]}": measure_size(size, options.rounds, options.seconds) for size in SIZES}
    if options.json:
        print(json.dumps(figures))
        return
    print("us per frame          latest()  bare copy  receipt to reader: median     p99")
    for name, row in figures.items():
        print(f"{name:>20}  {row['latest_us']:8.1f}  {row['copy_us']:9.1f}  ", end="")
        print(f"{row['receipt_to_reader_median_us']:25.0f}  {row['receipt_to_reader_p99_us']:6.0f}")


if __name__ == "__main__":
    main()
