"""Listing cameras: what is there is described, what is not is no error."""

import sys
from types import SimpleNamespace

from drivers.cameras.find import RealSenseDevice, V4l2Device, find_cameras

INFO = SimpleNamespace(name="name", serial_number="serial", firmware_version="firmware", usb_type_descriptor="usb")


class FakeDevice:
    """A device that tells what it was given."""

    def __init__(self, **known):
        self.known = known

    def supports(self, what):
        return what in self.known

    def get_info(self, what):
        return self.known[what]


def fake_rs(devices):
    return SimpleNamespace(camera_info=INFO, context=lambda: SimpleNamespace(query_devices=lambda: devices))


def test_v4l2_devices_by_their_lasting_names(tmp_path):
    dev, names, by_id = tmp_path / "dev", tmp_path / "names", tmp_path / "by-id"
    dev.mkdir()
    by_id.mkdir()
    for node, name in (("video0", "HD Pro Webcam C920"), ("video1", "HD Pro Webcam C920"), ("video10", "loopback")):
        (names / node).mkdir(parents=True)
        (names / node / "name").write_text(name + "\n")
        (dev / node).touch()
    (by_id / "usb-C920-video-index0").symlink_to(dev / "video0")
    (by_id / "usb-C920-video-index1").symlink_to(dev / "video1")
    found = find_cameras(by_id, names, fake_rs([])).v4l2
    assert found == (
        V4l2Device(str(by_id / "usb-C920-video-index0"), "/dev/video0", "HD Pro Webcam C920"),
        V4l2Device(str(by_id / "usb-C920-video-index1"), "/dev/video1", "HD Pro Webcam C920"),
        V4l2Device("/dev/video10", "/dev/video10", "loopback"),
    )


def test_realsense_devices_with_what_they_tell(tmp_path):
    devices = [FakeDevice(name="D405", serial="123", firmware="5.16", usb="3.2"), FakeDevice(serial="9", name="D435")]
    found = find_cameras(tmp_path / "a", tmp_path / "b", fake_rs(devices))
    assert found.realsense == (RealSenseDevice("D405", "123", "5.16", "3.2"), RealSenseDevice("D435", "9", "?", "?"))
    assert found.v4l2 == ()
    assert found.notes == ()


def test_a_missing_library_or_a_failing_one_is_a_note(tmp_path, monkeypatch):
    def fails():
        raise RuntimeError("no udev")

    failing = find_cameras(tmp_path, tmp_path, SimpleNamespace(context=fails))
    assert failing.realsense == ()
    assert "no udev" in failing.notes[0]
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    assert "pip install pyrealsense2" in find_cameras(tmp_path, tmp_path).notes[0]


def test_this_machine_can_be_searched():
    find_cameras()
