"""Listing cameras: what is there is described, what is not is no error."""

import sys
from types import SimpleNamespace

from drivers.cameras.find import AttachedCamera, find_realsense, find_v4l2

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
    lasting = [str(by_id / f"usb-C920-video-index{index}") for index in (0, 1)]
    found = find_v4l2(by_id, names)
    assert found.note == ""
    assert found.cameras == (
        AttachedCamera(lasting[0], f"HD Pro Webcam C920: {lasting[0]}"),
        AttachedCamera(lasting[1], f"HD Pro Webcam C920: {lasting[1]}"),
        AttachedCamera("/dev/video10", "loopback: /dev/video10"),
    )
    assert found.named("/dev/video10") is found.cameras[2]
    assert found.named("/dev/video0") is None
    assert find_v4l2(tmp_path / "a", tmp_path / "b").cameras == ()


def test_realsense_devices_with_what_they_tell():
    devices = [FakeDevice(name="D405", serial="123", firmware="5.16", usb="3.2"), FakeDevice(serial="9", name="D435")]
    assert find_realsense(fake_rs(devices)).cameras == (
        AttachedCamera("123", "D405, serial 123, firmware 5.16, USB 3.2"),
        AttachedCamera("9", "D435, serial 9, firmware ?, USB ?"),
    )


def test_a_realsense_on_usb_2_has_a_problem():
    (camera,) = find_realsense(fake_rs([FakeDevice(serial="9", usb="2.1")])).cameras
    assert camera.problem == "on USB 2.1"
    assert "USB 3 port" in camera.advice


def test_a_missing_library_or_a_failing_one_is_a_note(monkeypatch):
    def fails():
        raise RuntimeError("no udev")

    failing = find_realsense(SimpleNamespace(context=fails))
    assert failing.cameras == ()
    assert "no udev" in failing.note
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    assert "pip install pyrealsense2" in find_realsense().note


def test_this_machine_can_be_searched():
    find_realsense()
    find_v4l2()
