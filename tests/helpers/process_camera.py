"""A camera's process that a stand-in of the library feeds."""

import json

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.uvc import UvcConfig
from helpers.camera_stand_ins import HEIGHT, WIDTH


def make(tmp_path, orders=None, *, latency_ms=0.0, stand_in="GoodCapture", **patience):
    device = tmp_path / "orders.json"
    device.write_text(json.dumps(orders or {}))
    source = UvcConfig(str(device), (HEIGHT, WIDTH), stand_in=f"helpers.camera_stand_ins:{stand_in}")
    patience = {"stale_s": 10, "bad_s": 20, "hang_s": 20, "first_wait_s": 0.05, **patience}
    config = CameraConfig("front", source, (HEIGHT, WIDTH), latency_ms=latency_ms, patience=Patience(**patience))
    return ProcessCamera(config)
