"""What the doctor says about cameras and teleoperation devices."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.camera_stand_ins import HEIGHT, WIDTH
from omegaconf import OmegaConf

from commands.doctor.cameras import check_attached, check_streams, configured_cameras, find_attached
from commands.doctor.teleop import check_teleop
from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.find import Attached, AttachedCamera
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.uvc import UvcConfig

D435 = AttachedCamera("012345", "Intel RealSense D435I, serial 012345, firmware 5.16, USB 3.2")
SLOW = AttachedCamera("067890", "Intel RealSense D405, serial 067890, USB 2.1", "on USB 2.1", "Use a USB 3 port.")
WEBCAM = AttachedCamera("/dev/v4l/by-id/c920", "C920: /dev/v4l/by-id/c920")


def robot(**cameras):
    return OmegaConf.create({"image_size": 48, "cameras": cameras})


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of noise that stands for a webcam."""
    path = tmp_path_factory.mktemp("film") / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(60):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return str(path)


def test_usb_2_is_refused_and_others_are_listed():
    found = list(
        check_attached(
            {"uvc": Attached((WEBCAM,)), "realsense": Attached((D435, SLOW)), "other": Attached((), "no sdk")}
        )
    )
    assert [finding.state for finding in found] == ["ok", "ok", "FAIL", "warn"]
    assert "serial 067890" in found[2].found
    assert "USB 3 port" in found[2].advice
    assert "kind other only" in found[3].advice
    assert [finding.state for finding in check_attached({"uvc": Attached()})] == ["warn"]


def test_every_kind_that_can_be_listed_is():
    assert {"uvc", "realsense"} <= set(find_attached())


@pytest.mark.parametrize(
    ("kind", "setting", "attached", "choice"),
    [("realsense", "serial", D435, "012345"), ("uvc", "device", WEBCAM, "/dev/v4l/by-id/c920")],
)
def test_a_camera_that_is_not_chosen_gets_those_attached(kind, setting, attached, choice):
    settings = robot(front={"kind": kind, setting: None})
    cameras, (finding,) = configured_cameras(settings, {kind: Attached((attached,))})
    assert cameras == {}
    assert finding.state == "FAIL"
    assert f"robot.cameras.front.{setting}=\"'{choice}'\"" in finding.advice
    _, (finding,) = configured_cameras(settings, {})
    assert "Plug the camera in" in finding.advice


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "realsense", "serial": "999"}, "kind realsense with serial 999 is"),
        ({"kind": "realsense", "serial": "067890"}, "067890 is on USB 2.1"),
        ({"kind": "uvc", "device": "/dev/video77"}, "kind uvc with device /dev/video77 is"),
        ({"kind": "webcam", "device": "/dev/video0"}, "kind is 'webcam'"),
        ({"kind": "uvc", "device": "/dev/video0", "colour": 3}, "no setting 'colour'"),
        ({"kind": "uvc", "device": "/dev/video0", "colour": 3}, "a camera of kind uvc has device, resolution, fps"),
        ({"kind": "uvc", "device": "/dev/video0", "resolution": 3}, "resolution is 3"),
        ({"kind": "uvc", "device": "/dev/video0", "fps": -1}, "fps"),
    ],
)
def test_what_cannot_be_opened_is_not_tried(settings, words):
    cameras, (finding,) = configured_cameras(robot(front=settings), {"realsense": Attached((D435, SLOW))})
    assert cameras == {}
    assert finding.state == "FAIL"
    assert words in finding.found


def test_settings_become_those_of_the_driver(film):
    cameras, findings = configured_cameras(
        robot(
            front={"kind": "uvc", "device": film, "resolution": [48, 64], "crop": [0, 16, 48, 48], "latency_ms": 5.0}
        ),
        {},
    )
    assert findings == []
    assert cameras["front"] == CameraConfig("front", UvcConfig(film, (48, 64)), (48, 48), (0, 16, 48, 48), 5.0)


def test_cameras_are_watched_together(film):
    cameras = {
        "front": CameraConfig("front", UvcConfig(film, (48, 64), fps=20), (48, 48)),
        "side": CameraConfig("side", UvcConfig(film, (48, 64), fps=20), (48, 48)),
    }
    found = {finding.name: finding for finding in check_streams(cameras, 0.5, 60.0)}
    assert set(found) == {*cameras, "skew"}
    for name in ("front", "side"):
        assert found[name].state in ("ok", "warn"), found[name]
        assert "of 20 frames/s, age " in found[name].found


def test_the_doctor_resets_no_camera_that_a_session_may_use(monkeypatch):
    opened = []

    class Noted(ProcessCamera):
        def __init__(self, config):
            opened.append(config)
            super().__init__(config)

    monkeypatch.setattr("commands.doctor.cameras.ProcessCamera", Noted)
    source = RealSenseConfig("feed", (HEIGHT, WIDTH), 30, stand_in="helpers.camera_stand_ins:GoodFeed")
    assert source.reset
    found = list(check_streams({"wrist": CameraConfig("wrist", source, (24, 24))}, 0.3, 60.0))
    assert len(found) == 1
    assert [config.source for config in opened] == [replace(source, reset=False)]


def test_a_camera_that_does_not_stream_fails(film):
    cameras = {"wrist": CameraConfig("wrist", UvcConfig(film, (240, 320)), (48, 48))}
    (finding,) = check_streams(cameras, 0.5, 60.0, open_s=2.0)
    assert finding.state == "FAIL"
    assert "instead of streaming" in finding.found


def test_frames_older_than_a_session_allows_fail(film):
    cameras = {"front": CameraConfig("front", UvcConfig(film, (48, 64), fps=5), (48, 48))}
    (finding,) = check_streams(cameras, 0.5, 1e-4)
    assert finding.state == "FAIL"
    assert "robot.max_age" in finding.advice


def test_without_cameras_there_is_nothing_to_watch():
    assert list(check_streams({}, 60.0, 0.25)) == []


def test_teleoperation_devices_that_are_missing_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.teleop.input_nodes.INPUT_FOLDER", tmp_path)
    monkeypatch.setenv("SPNAV_SOCKET", str(tmp_path / "none.sock"))
    found = {finding.name: finding for finding in check_teleop()}
    assert set(found) == {"gamepad", "spacemouse", "keyboard"}
    assert all(finding.state == "warn" for finding in found.values())
    assert "Plug one in" in found["gamepad"].advice
    assert "terminal" in found["keyboard"].advice


def test_two_cameras_are_said_to_be_in_step_or_not(film):
    cameras = {
        name: CameraConfig(name, UvcConfig(film, (48, 64), fps=20), (48, 48), latency_ms=late)
        for name, late in (("front", 0.0), ("side", 400.0))
    }
    found = {finding.name: finding for finding in check_streams(cameras, 0.5, 60.0)}
    assert set(found) == {"front", "side", "skew"}
    assert found["skew"].state == "warn"  # one stamps its frames 400 ms earlier
    assert re.match(
        r"[34]\d\d ms between the cameras' newest frames \(at most \d+\), expected a frame's 50", found["skew"].found
    )
    assert "calibrate.what=latency" in found["skew"].advice
    (alone,) = check_streams({"front": cameras["front"]}, 0.3, 60.0)
    assert alone.name == "front"


def test_what_a_depth_camera_measured_is_said():
    source = RealSenseConfig("feed", (HEIGHT, WIDTH), 30, depth=True, stand_in="helpers.camera_stand_ins:GoodFeed")
    found = {f.name: f for f in check_streams({"wrist": CameraConfig("wrist", source, (HEIGHT, WIDTH))}, 0.3, 60.0)}
    assert set(found) == {"wrist", "wrist depth"}
    assert found["wrist depth"].state == "ok"
    share, low, high = re.match(
        r"(\d+)% of the pixels measured, ([\d.]+) \.\.\. ([\d.]+) m", found["wrist depth"].found
    ).groups()
    assert 0 < int(share) <= 100
    assert 0 <= float(low) <= float(high)
