"""A package outside brings things of its own without a change to this project; each check runs in a fresh process."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT, outside


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return outside.install(tmp_path_factory.mktemp("outside"))


def answer(installed, code):
    """What the code says as JSON on its last line, run where the package is installed."""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=outside.environment(installed), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


CAMERA = """
import json
from omegaconf import OmegaConf
from commands.doctor.cameras import check_attached, check_streams, configured_cameras, find_attached
from drivers.cameras.camera import ProcessCamera
from factory.cameras import camera_settings
from trajectories.errors import ConfigError

size = 24
cameras = {"front": {"kind": "pattern", "colour": [10, 20, 30], "fps": 50, "latency_ms": 2.0}}
attached = find_attached()
configs, problems = configured_cameras(OmegaConf.create({"image_size": size, "cameras": cameras}), attached)
listed = [finding.found for finding in check_attached(attached)]
streams = [finding.state for finding in check_streams(configs, 0.5, 60.0)]
with ProcessCamera(configs["front"]).wait() as camera:
    image = camera.latest(10**10).image
try:
    camera_settings("front", OmegaConf.create({"kind": "pattern", "hue": 3}), size)
except ConfigError as error:
    refused = str(error)
print(json.dumps({"listed": listed, "problems": [str(problem) for problem in problems], "streams": streams,
    "shape": image.shape, "colour": sorted(set(map(tuple, image.reshape(-1, 3).tolist())))[0], "refused": refused,
    "latency_ms": configs["front"].latency_ms}))
"""


def test_a_camera_kind(installed):
    """The camera's own process makes the source from the package; the doctor lists it and watches it stream."""
    said = answer(installed, CAMERA)
    assert "test pattern generator0" in said["listed"]
    assert said["problems"] == []
    assert said["streams"] in (["ok"], ["warn"])  # slower than asked for when the machine is busy
    assert said["shape"] == [24, 24, 3]
    assert said["colour"] == [10, 20, 30]
    assert said["latency_ms"] == 2.0
    for words in ("no setting 'hue'", "kind pattern has device, resolution, fps, colour"):
        assert words in said["refused"]
