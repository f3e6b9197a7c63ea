"""Virtual cameras: the twin's images through the real drivers, unmodified, with every fault that can be injected."""

import time
from pathlib import Path

import numpy as np
import pytest

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.uvc import UvcConfig
from drivers.cameras.watchdog import State
from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.virtual.cameras import REALSENSE_STAND_IN, UVC_STAND_IN, Fault, VirtualCamera, VirtualCapture
from trajectories.errors import ConfigError, StaleDataError

SIZE = (48, 64)
LONG = 60_000_000_000
SPEC = SceneSpec((FixtureSpec("rack", "rack", (0.28, -0.1)),), (ObjectSpec("cube", "cube", (0.28, 0.1)),))


class Numbered:
    """Images and depths that tell how often they were looked at."""

    def __init__(self):
        self.looks = 0

    def colour(self):
        self.looks += 1
        image = np.random.default_rng(self.looks).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        image[0, 0] = (self.looks % 256, self.looks // 256, 0)
        return image

    def depth(self):
        return np.full(SIZE, self.looks, np.uint16)


def looks_of(image):
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


def camera_of(source, **patience):
    return ProcessCamera(CameraConfig("front", source, SIZE, patience=Patience(first_wait_s=0.05, **patience)))


def uvc(plug, **patience):
    return camera_of(UvcConfig(plug.device, SIZE, stand_in=UVC_STAND_IN), **patience)


def publish_until(plug, condition, timeout_s=20.0):
    """Publish at 100 Hz until the condition is true; returns its value."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        plug.publish()
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A plug and a webcam driver on it, for all the faults that follow."""
    plug = VirtualCamera(tmp_path_factory.mktemp("plug") / "cam", Numbered().colour, noise=False)
    with uvc(plug, frozen_s=0.4, stale_s=0.4, bad_s=60, hang_s=1.5, longest_wait_s=0.2) as camera:
        yield plug, camera
    plug.close()
    assert not Path(plug.device).exists()
    assert not plug._thread.is_alive()


@pytest.fixture
def streaming(pair):
    """The same, free of faults and streaming."""
    plug, camera = pair
    plug.fault = Fault.NONE
    publish_until(plug, lambda: camera.status().state is State.STREAMING)
    return plug, camera


def test_the_twins_view_arrives_at_a_webcam_driver_bit_by_bit(tmp_path):
    scene = Scene(SPEC, randomise=False)
    view = scene.camera("front", SIZE)
    plug = VirtualCamera(tmp_path / "cam", lambda: view.latest(0).image, noise=False)
    with uvc(plug, frozen_s=60) as camera:
        publish_until(plug, lambda: camera.status().state is State.STREAMING)
        seen = camera.latest(LONG).image
        assert np.array_equal(seen, view.latest(0).image)
        assert seen.std() > 10, "there is something to see"
        target = scene.arm.read().joints + 0.4
        scene.physics.set_arm(target, 0.05)
        moved = view.latest(0).image
        assert not np.array_equal(seen, moved)
        publish_until(plug, lambda: np.array_equal(camera.latest(LONG).image, moved))
    plug.close()
    scene.close()


def test_a_realsense_driver_gets_colour_and_depth_bit_by_bit(tmp_path):
    numbered = Numbered()
    plug = VirtualCamera(tmp_path / "cam", numbered.colour, numbered.depth, noise=False)
    with camera_of(RealSenseConfig(plug.device, SIZE, depth=True, stand_in=REALSENSE_STAND_IN)) as camera:
        publish_until(plug, lambda: camera.status().frames > 3)
        image, depth = camera.latest(LONG).image, camera.depth(LONG).depth
        again = np.random.default_rng(looks_of(image)).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        assert np.array_equal(image[1:], again[1:])
        assert depth.min() == depth.max() >= looks_of(image)
        dropped = camera.status().dropped
        plug.fault = Fault.SLOW
        publish_until(plug, lambda: camera.status().dropped >= dropped + 9)
        plug.unplug()
        publish_until(plug, lambda: camera.status().state is State.LOST)
        assert "is gone" in camera.status().last_error
    plug.close()


def test_noise_keeps_a_still_scene_from_looking_frozen(tmp_path):
    still = np.full((*SIZE, 3), 100, np.uint8)
    plug = VirtualCamera(tmp_path / "cam", lambda: still, seed=3)
    with uvc(plug, frozen_s=0.2) as camera:
        publish_until(plug, lambda: camera.status().state is State.STREAMING)
        first = camera.latest(LONG)
        end = time.monotonic() + 0.5
        publish_until(plug, lambda: time.monotonic() > end and camera.latest(LONG).t_ns > first.t_ns + 4e8)
        frame = camera.latest(LONG)
        assert set(np.unique(frame.image).tolist()) == {100, 101}
        assert not np.array_equal(frame.image, first.image)
    plug.close()


def test_a_freeze_is_noticed_and_ends(streaming):
    plug, camera = streaming
    plug.fault = Fault.FREEZE
    publish_until(plug, lambda: camera.status().state is State.FROZEN)
    with pytest.raises(StaleDataError, match="same image"):
        camera.latest(LONG)
    plug.fault = Fault.NONE
    publish_until(plug, lambda: camera.status().state is State.STREAMING)
    camera.latest(LONG)


def test_a_camera_that_says_nothing_blocks_its_driver_and_is_opened_again(streaming):
    plug, camera = streaming
    before = camera.status().reconnects
    plug.fault = Fault.HANG
    publish_until(plug, lambda: camera.status().state is State.STALE)
    with pytest.raises(StaleDataError, match="stale"):
        camera.latest(350_000_000)
    publish_until(plug, lambda: camera.status().reconnects > before)
    assert "hung for more than 1.5 s" in camera.status().last_error
    plug.fault = Fault.NONE
    publish_until(plug, lambda: camera.status().state is State.STREAMING)


def test_an_unplugged_camera_is_lost_and_comes_back_when_plugged_in(streaming):
    plug, camera = streaming
    last = looks_of(camera.latest(LONG).image)
    plug.unplug()
    publish_until(plug, lambda: "can't be opened" in (camera.status().last_error or ""))
    assert camera.status().state in (State.LOST, State.STARTING)
    with pytest.raises(StaleDataError):
        camera.latest(1_000_000)
    plug.plug()
    publish_until(plug, lambda: camera.status().state is State.STREAMING)
    assert looks_of(camera.latest(LONG).image) > last


def test_a_killed_driver_comes_back(streaming):
    plug, camera = streaming
    before = camera.status().pid
    assert plug.kill_reader() == before
    publish_until(plug, lambda: camera.status().state is State.STREAMING and camera.status().pid != before)
    assert "code -9" in camera.status().last_error
    assert publish_until(plug, lambda: plug.reader_pid) == camera.status().pid


def test_what_is_not_plugged_in_is_not_open(tmp_path):
    capture = VirtualCapture(str(tmp_path / "nothing"))
    assert not capture.isOpened()
    assert capture.read() == (False, None)
    assert capture.get(3) == 0.0
    plug = VirtualCamera(tmp_path / "cam", Numbered().colour)
    assert plug.reader_pid is None
    assert plug.kill_reader() is None
    plug.close()
    with pytest.raises(ConfigError, match="longer than 100"):
        VirtualCamera(tmp_path / ("x" * 100), Numbered().colour)
