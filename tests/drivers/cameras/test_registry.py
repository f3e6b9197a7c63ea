"""Kinds of camera: settings by key, and kinds of packages outside beside a broken one."""

from dataclasses import dataclass

import pytest

import drivers.cameras.registry as cameras
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.registry import CameraKind, kind_of, source_settings
from drivers.cameras.uvc import UvcConfig
from trajectories.errors import ConfigError
from trajectories.registry import Registry


@dataclass(frozen=True)
class FilmConfig:
    """A film on disk."""

    device: str
    resolution: tuple[int, int] = (4, 4)
    fps: float = 10.0
    depth: bool = False


def test_settings_of_a_kind():
    assert source_settings("uvc", {"device": "/dev/video1", "fps": 15}, "front") == UvcConfig("/dev/video1", fps=15)
    assert kind_of(UvcConfig("x")) == "uvc"
    assert kind_of(RealSenseConfig("1")) == "realsense"


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        (
            "uvc",
            {"device": "x", "serial": "1"},
            "front has no setting 'serial'; a camera of kind uvc has device, resolu",
        ),
        (
            "realsense",
            {"fps": 30},
            "front lacks the setting 'serial'; a camera of kind realsense has serial, resolution",
        ),
        ("uvc", {"device": 3, "exposure_us": "long"}, "front: a value has the wrong kind|exposure_us"),
        ("gige", {}, "no kind of camera 'gige'; there are realsense, uvc"),
    ],
)
def test_wrong_settings_are_refused_with_those_that_there_are(kind, raw, words):
    with pytest.raises(ConfigError, match=words):
        source_settings(kind, raw, "front")


def test_a_package_that_cannot_be_imported_stops_no_other(tmp_path, monkeypatch):
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[regrasp.cameras]\na_broken = nowhere_to_be_found:KIND\n")
    monkeypatch.syspath_prepend(tmp_path)
    film = CameraKind(FilmConfig, lambda settings: None)
    monkeypatch.setattr(cameras, "KINDS", Registry("regrasp.cameras", "kind of camera", {"film": film}))
    assert kind_of(FilmConfig("x")) == "film"
    with pytest.raises(ConfigError, match="UvcConfig is no kind of camera; there are film, a_broken"):
        kind_of(UvcConfig("x"))
    with pytest.raises(ConfigError, match="the package broken"):
        source_settings("a_broken", {}, "front")
