"""USB cameras: a film in place of the device, settings in the right order, refusals in words."""

import itertools
import json
import time

import cv2
import numpy as np
import pytest
from helpers.camera_helpers import wait_until
from helpers.camera_stand_ins import HEIGHT, WIDTH

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.uvc import UvcConfig, UvcSource
from drivers.errors import CameraError

LONG = 60_000_000_000
FRAMES = 8


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Eight frames of 48 x 64: left half red and getting brighter, right half blue."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for i in range(FRAMES):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :32, 2] = 40 + 25 * i
        image[:, 32:, 0] = 200
        writer.write(image)
    writer.release()
    return str(path)


def test_a_film_plays_through_the_whole_path_as_rgb_over_and_over(film):
    config = CameraConfig("front", UvcConfig(film, (48, 64), fps=100), (24, 32))
    with ProcessCamera(config) as camera:
        camera.wait()
        wait_until(lambda: camera.status().frames > 2 * FRAMES)
        image = camera.latest(LONG).image.astype(int)
        assert image.shape == (24, 32, 3)
        assert image[:, :14, 0].min() > 20
        assert image[:, :14, 1:].max() < 20, "red is the first channel"
        assert abs(image[:, 18:] - (0, 0, 200)).max() < 20, "blue is the last"
        assert camera.status().reconnects == 0


def test_a_film_is_shown_in_order_and_starts_again(film):
    source = UvcSource(UvcConfig(film, (48, 64), fps=500))
    source.open()
    frames = [source.next(1.0) for _ in range(FRAMES + 2)]
    source.close()
    reds = [round((float(frame.colour[:, :30, 0].mean()) - 40) / 25) for frame in frames]
    assert reds == [*range(FRAMES), 0, 1]
    assert [frame.number for frame in frames] == list(range(1, FRAMES + 3))
    assert all(a.t_ns < b.t_ns for a, b in itertools.pairwise(frames))
    with pytest.raises(CameraError, match="not open"):
        source.next(0.1)


def stand_in(tmp_path, exposure_us=None, **orders):
    device = tmp_path / "orders.json"
    device.write_text(json.dumps(orders))
    stand_in = "helpers.camera_stand_ins:GoodCapture"
    return UvcSource(UvcConfig(str(device), (HEIGHT, WIDTH), 15, exposure_us=exposure_us, stand_in=stand_in))


def test_frames_that_waited_in_the_drivers_queue_are_stamped_as_the_driver_stamped_them(tmp_path):
    """As after a stall of this process: the frames of 900, 800 and 0 ms ago come at once."""
    source = stand_in(tmp_path, queued_ms=[5, 900, 800, 0])
    source.open()
    capture = source._capture
    stamps = [(source.next(1.0).t_ns, capture.stamp_ms) for _ in range(4)]
    source.close()
    for t_ns, stamp_ms in stamps[:3]:
        assert t_ns == round(stamp_ms * 1e6)
    assert stamps[3][0] <= round(stamps[3][1] * 1e6)  # a stamp from after the receipt isn't believed


@pytest.mark.parametrize("orders", [{}, {"queued_ms": [0], "epoch_ms": 1.7e12}, {"queued_ms": [60_000, 0]}])
def test_a_driver_with_another_clock_or_none_is_stamped_on_receipt(tmp_path, orders):
    source = stand_in(tmp_path, **orders)
    source.open()
    for _ in range(2):
        before = time.monotonic_ns()
        assert before <= source.next(1.0).t_ns <= time.monotonic_ns()
    source.close()


def test_settings_reach_the_device_format_first(tmp_path):
    source = stand_in(tmp_path, exposure_us=5000)
    source.open()
    asked = source._capture.properties
    assert list(asked)[:3] == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT]
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert (asked[cv2.CAP_PROP_FRAME_HEIGHT], asked[cv2.CAP_PROP_FRAME_WIDTH]) == (HEIGHT, WIDTH)
    assert asked[cv2.CAP_PROP_FPS] == 15
    assert (asked[cv2.CAP_PROP_AUTO_EXPOSURE], asked[cv2.CAP_PROP_EXPOSURE]) == (1, 50)
    assert source.next(1.0).exposure_us == 5000
    auto = stand_in(tmp_path)
    auto.open()
    assert auto._capture.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == 3
    assert cv2.CAP_PROP_EXPOSURE not in auto._capture.properties
    assert auto.next(1.0).exposure_us == -1


def test_a_device_that_refuses_is_refused(tmp_path):
    with pytest.raises(CameraError, match=r"delivers 48 x 64 pixels instead of 24 x 32"):
        stand_in(tmp_path, size=[48, 64]).open()
    with pytest.raises(CameraError, match="group video"):
        stand_in(tmp_path, closed=True).open()
    with pytest.raises(CameraError, match="refuses a fixed exposure of 5000 us"):
        stand_in(tmp_path, exposure_us=5000, no_exposure=True).open()
    with pytest.raises(CameraError, match="There is no device /dev/video99"):
        UvcSource(UvcConfig("/dev/video99")).open()
    no_film = tmp_path / "text.avi"
    no_film.write_text("no film")
    with pytest.raises(CameraError, match="can't be opened"):
        UvcSource(UvcConfig(str(no_film))).open()


def test_a_device_that_stops_is_an_error(tmp_path):
    source = stand_in(tmp_path, fail_after=1)
    source.open()
    assert source.next(1.0) is not None
    with pytest.raises(CameraError, match="stopped delivering"):
        source.next(1.0)
