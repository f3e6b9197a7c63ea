"""RealSense: the parsing through librealsense's own software device; decisions about real ones through fakes."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.camera_helpers import wait_until
from helpers.camera_stand_ins import HEIGHT, WIDTH, depth_of, image_of, number_of

from drivers.cameras import realsense_pipeline
from drivers.cameras.camera import ProcessCamera, in_millimetres
from drivers.cameras.config import CameraConfig
from drivers.cameras.realsense import RealSenseSource
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.realsense_pipeline import Pipeline, colour_sensor, refuse_usb2, set_exposure
from drivers.errors import CameraError
from trajectories.errors import MissingDependencyError

LONG = 60_000_000_000


def software(serial="feed", depth=True, resolution=(HEIGHT, WIDTH)):
    return RealSenseConfig(serial, resolution, 100, depth=depth, stand_in="helpers.camera_stand_ins:GoodFeed")


# ---- the software device: librealsense's own frames ---------------------------------------------------------


def test_colour_and_depth_come_bit_by_bit_through_the_whole_path():
    with ProcessCamera(CameraConfig("wrist", software(), (HEIGHT, WIDTH), latency_ms=20)) as camera:
        camera.wait()
        seen = set()
        while len(seen) < 8:
            frame, depth = camera.latest(LONG), camera.depth(LONG)
            number = number_of(frame.image)
            assert np.array_equal(frame.image, image_of(number))
            assert np.array_equal(frame.depth, depth_of(number))
            assert np.array_equal(depth.depth, depth_of(int(depth.depth[0, 0])))
            assert int(depth.depth[0, 0]) >= number
            assert depth.unit_m == pytest.approx(0.001)
            if int(depth.depth[0, 0]) == number:
                assert depth.t_ns == frame.t_ns
                seen.add(number)
        stamp = camera._ring.stamp()
        assert stamp.exposure_us == 8000 + stamp.number
        assert stamp.device_us > 0
        wait_until(lambda: camera.status().dropped >= 2)
        assert camera.status().exposure_us > 8000


def frames_of(source, count):
    """The next `count` frames; a set may come late out of the syncer."""
    found = []
    for _ in range(10 * count):
        frame = source.next(1.0)
        if frame is not None:
            found.append(frame)
        if len(found) == count:
            break
    return found


def test_no_frame_is_lost_or_mixed_up_on_the_way_through_librealsense():
    source = RealSenseSource(software())
    source.open()
    frames = frames_of(source, 40)
    source.close()
    pushed = [n for n in range(1, 100) if n % 7]
    assert [frame.number for frame in frames] == pushed[1:41], "the syncer swallows the first, and no other"
    for frame in frames:
        assert np.array_equal(frame.colour, image_of(frame.number))
        assert np.array_equal(frame.depth, depth_of(frame.number))


def test_colour_alone():
    source = RealSenseSource(software("flat", depth=False))
    source.open()
    frames = frames_of(source, 5)
    assert [np.array_equal(frame.colour, image_of(frame.number)) for frame in frames] == [True] * 5
    assert all(frame.depth is None and frame.depth_unit_nm == -1 for frame in frames)
    source.close()
    source.close()
    with pytest.raises(CameraError, match="not open"):
        source.next(0.1)


def test_sets_without_depth_are_passed_over_when_depth_is_asked_for():
    source = RealSenseSource(software("flat"))
    source.open()
    assert [source.next(0.1) for _ in range(5)] == [None] * 5
    source.close()


def test_a_feed_that_is_missing_silent_gone_or_of_another_size():
    with pytest.raises(CameraError, match="no software feed unplugged"):
        RealSenseSource(software("unplugged")).open()
    silent = RealSenseSource(software("silent"))
    silent.open()
    assert silent.next(0.01) is None
    feed = silent._sets._feed
    silent.close()
    assert feed.closed
    goes = RealSenseSource(software("goes"))
    goes.open()
    with pytest.raises(CameraError, match="is gone"):
        frames_of(goes, 9)
    other = RealSenseSource(software(resolution=(48, 64)))
    other.open()
    with pytest.raises(CameraError, match=r"expected \(48, 64\)"):
        other.next(0.1)


def test_no_camera_is_attached_here_and_a_missing_library_is_named(monkeypatch):
    with pytest.raises(CameraError, match="no RealSense with serial number 000000; attached are"):
        RealSenseSource(RealSenseConfig("000000")).open()
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(MissingDependencyError, match=r"libusb-1\.0-0"):
        RealSenseSource(RealSenseConfig("000000")).open()


# ---- decisions about real devices, with a fake library ------------------------------------------------------


class FakeSensor:
    """A sensor that keeps what is set."""

    def __init__(self, name):
        self.name, self.options = name, []

    def get_info(self, what):
        return self.name

    def set_option(self, option, value):
        self.options.append((option, value))

    def get_option_range(self, option):
        return SimpleNamespace(min=1, max=10000)


class FakeRealSense:
    """pyrealsense2 with one camera whose starts go as told: True, False (no frame comes) or an error each."""

    camera_info = SimpleNamespace(serial_number="serial", usb_type_descriptor="usb", name="name")
    option = SimpleNamespace(enable_auto_exposure="auto", exposure="exposure")
    stream = SimpleNamespace(color="color", depth="depth")
    format = SimpleNamespace(rgb8="rgb8", z16="z16")

    def __init__(self, starts=(True,), usb="3.2", sensors=("Stereo Module", "RGB Camera"), blind_after_reset=2):
        self.starts, self.usb, self.log, self.wanted = list(starts), usb, [], []
        self.sensors = [FakeSensor(name) for name in sensors]
        self.absent, self.blind_after_reset = 0, blind_after_reset

    def context(self):
        return self

    def query_devices(self):
        self.absent -= 1
        return [] if self.absent >= 0 else [self]

    def supports(self, what):
        return True

    def get_info(self, what):
        return {"serial": "77", "usb": self.usb}[what]

    def query_sensors(self):
        return self.sensors

    def hardware_reset(self):
        self.log.append("reset")
        self.absent = self.blind_after_reset

    def config(self):
        return SimpleNamespace(
            enable_device=lambda serial: self.wanted.append(serial),
            enable_stream=lambda *what: self.wanted.append(what),
        )

    def pipeline(self, context):
        return self

    def start(self, wanted):
        self.log.append("start")
        self.outcome = self.starts.pop(0)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return SimpleNamespace(get_device=lambda: self)

    def try_wait_for_frames(self, ms):
        return self.outcome, "frames"

    def stop(self):
        self.log.append("stop")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(realsense_pipeline, "_POLL_S", 0.001)
    monkeypatch.setattr(realsense_pipeline, "_RETURN_S", 5.0)


def test_a_camera_is_started_with_its_streams():
    rs = FakeRealSense()
    pipeline = Pipeline(RealSenseConfig("77", (480, 848), 60, depth=True), rs)
    pipeline.open()
    assert rs.wanted == ["77", ("color", 848, 480, "rgb8", 60), ("depth", 848, 480, "z16", 60)]
    assert pipeline.wait(0.1) == "frames"
    rs.outcome = False
    assert pipeline.wait(0.1) is None
    pipeline.close()
    pipeline.close()
    assert rs.log == ["start", "stop"]


def test_a_reset_comes_before_the_last_attempt_and_only_then(quick):
    rs = FakeRealSense([RuntimeError("busy"), False, True])
    Pipeline(RealSenseConfig("77"), rs).open()
    assert rs.log == ["start", "stop", "start", "stop", "reset", "start"]


def test_a_camera_that_never_delivers_is_an_error(quick):
    rs = FakeRealSense([False, False, False])
    with pytest.raises(CameraError, match=r"in 3 attempts, the last after a hardware reset \(no frame in"):
        Pipeline(RealSenseConfig("77"), rs).open()
    assert rs.log.count("reset") == 1
    assert rs.log[-1] == "stop"


BUSY = RuntimeError("xioctl(VIDIOC_S_FMT) failed, errno=16 Last Error: Device or resource busy")


@pytest.mark.parametrize("starts", [[BUSY, BUSY, BUSY], [False, BUSY, BUSY], [BUSY, RuntimeError("x"), True]])
def test_a_camera_that_did_not_start_for_this_process_is_never_reset(quick, starts):
    """Somebody else may be using it."""
    rs = FakeRealSense(starts)
    with contextlib.nullcontext() if starts[-1] is True else pytest.raises(CameraError, match="without a reset"):
        Pipeline(RealSenseConfig("77"), rs).open()
    assert "reset" not in rs.log
    assert rs.log.count("start") == 3


def test_who_says_so_gets_no_reset(quick):
    rs = FakeRealSense([False, False, False])
    with pytest.raises(CameraError, match=r"without a reset \(no frame in"):
        Pipeline(RealSenseConfig("77", reset=False), rs).open()
    assert "reset" not in rs.log


def test_a_missing_camera_is_not_waited_for():
    with pytest.raises(CameraError, match="no RealSense with serial number 5; attached are: 77"):
        Pipeline(RealSenseConfig("5"), FakeRealSense()).open()


@pytest.mark.parametrize(("usb", "fine"), [("3.2", True), ("3.1", True), ("2.1", False), ("2.0", False)])
def test_usb_2_is_refused(usb, fine):
    rs = FakeRealSense(usb=usb)
    if fine:
        refuse_usb2(rs, rs, "77")
        return
    with pytest.raises(CameraError, match="needs USB 3"):
        Pipeline(RealSenseConfig("77"), rs).open()
    assert rs.log == [], "it is never started"


def test_a_d405_makes_colour_with_its_stereo_module():
    rs = FakeRealSense(sensors=("Stereo Module",))
    assert colour_sensor(rs, rs, "77").name == "Stereo Module"
    both = FakeRealSense()
    assert colour_sensor(both, both, "77").name == "RGB Camera"
    none = FakeRealSense(sensors=("Motion Module",))
    with pytest.raises(CameraError, match="none of which makes colour"):
        colour_sensor(none, none, "77")


def test_exposure_is_set_in_the_sensors_unit():
    colour, stereo = FakeSensor("RGB Camera"), FakeSensor("Stereo Module")
    for sensor in (colour, stereo):
        set_exposure(FakeRealSense, sensor, 5000)
    assert colour.options == [("auto", 0), ("exposure", 50)]
    assert stereo.options == [("auto", 0), ("exposure", 5000)]
    automatic = FakeSensor("RGB Camera")
    set_exposure(FakeRealSense, automatic, None)
    assert automatic.options == [("auto", 1)]
    with pytest.raises(CameraError, match="out of this sensor's range, 1 to 10000 us"):
        set_exposure(FakeRealSense, FakeSensor("Stereo Module"), 20_000)


def test_depth_is_recorded_in_millimetres_whatever_the_cameras_unit():
    counts = np.array([[0, 4, 5, 1234, 65535]], np.uint16)
    assert in_millimetres(counts, 1_000_000) is counts
    assert in_millimetres(counts, 100_000).tolist() == [[0, 0, 0, 123, 6554]]  # a D405 counts tenths of a millimetre
    assert in_millimetres(counts, 2_000_000).tolist() == [[0, 8, 10, 2468, 0]]  # further than uint16 holds
    with pytest.raises(CameraError, match="without its unit"):
        in_millimetres(counts, -1)
