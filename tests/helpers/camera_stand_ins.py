"""Captures and feeds that misbehave on purpose; loaded by name inside a camera's process."""

import json
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from trajectories.errors import MissingDependencyError

HEIGHT, WIDTH = 24, 32


def image_of(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An RGB image that tells its number: uint8 (H, W, 3)."""
    image = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[0, 0] = (number % 256, number // 256 % 256, 77)
    return image


def number_of(image: np.ndarray) -> int:
    """The number that `image_of` wrote."""
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


class GoodCapture:
    """A capture of numbered images at 100 per second; the device's name may be a file of orders in JSON.

    {"hang_after": n} blocks for ever, {"freeze_after": n} repeats, {"fail_after": n} reports a failure;
    {"size": [H, W]} is what the device delivers; {"queued_ms": [ms, ...]} says how long each frame, the last for all
    that follow, has waited in the driver's queue, {"epoch_ms": ms} by how much its clock is ahead of the monotonic one.
    """

    def __init__(self, device):
        path = Path(device)
        self.orders = json.loads(path.read_text()) if path.is_file() else {}
        self.height, self.width = self.orders.get("size", (HEIGHT, WIDTH))
        self.number, self.properties = 0, {}

    def isOpened(self):
        return not self.orders.get("closed", False)

    def set(self, prop, value):
        self.properties[prop] = value
        return not (prop == cv2.CAP_PROP_EXPOSURE and self.orders.get("no_exposure"))

    def get(self, prop):
        queued = self.orders.get("queued_ms")
        if prop == cv2.CAP_PROP_POS_MSEC and queued:
            waited = queued[min(self.number, len(queued)) - 1]
            self.stamp_ms = time.monotonic_ns() / 1e6 - waited + self.orders.get("epoch_ms", 0.0)
            return self.stamp_ms
        return {cv2.CAP_PROP_FRAME_HEIGHT: self.height, cv2.CAP_PROP_FRAME_WIDTH: self.width}.get(prop, 0.0)

    def read(self):
        time.sleep(0.01)
        self.number += 1
        if self.number > self.orders.get("hang_after", 1e9):
            threading.Event().wait()
        if self.number > self.orders.get("fail_after", 1e9):
            return False, None
        shown = min(self.number, self.orders.get("freeze_after", 1 << 60))
        return True, np.ascontiguousarray(image_of(shown, self.height, self.width)[..., ::-1])

    def release(self):
        pass


def without_library(device):
    """An opener that misses its library."""
    raise MissingDependencyError("No cv3 here; run `pip install cv3`.")


def depth_of(number):
    """A depth image that tells its number: uint16 (H, W)."""
    depth = np.random.default_rng(number + 10**6).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    depth[0, 0] = number
    return depth


class GoodFeed:
    """Numbered images for librealsense's software device, 100 per second; each seventh number is left out."""

    def __init__(self, device):
        if device == "unplugged":
            raise ConnectionRefusedError("nobody there")
        self.device, self.number, self.closed = device, 0, False

    def next(self, timeout_s):
        time.sleep(0.01)
        self.number += 2 if self.number % 7 == 6 else 1
        if self.device == "goes" and self.number > 3:
            raise ConnectionError("gone")
        if self.device == "silent":
            return None
        depth = None if self.device == "flat" else depth_of(self.number)
        return image_of(self.number), depth, self.number, 8000 + self.number

    def close(self):
        self.closed = True
