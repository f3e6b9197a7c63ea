"""Settings of devices have one default: what configs/ says is what Python says, and every key reaches the device."""

import os
import threading
from dataclasses import fields, is_dataclass

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.teleop.device import DEVICES, device_settings
from drivers.teleop.takeover import Takeover, TakeoverConfig
from factory.cameras import camera_settings
from factory.spec import plain
from factory.teleop import open_takeover
from robot.control.faults import FaultLatch
from trajectories.errors import ConfigError
from trajectories.settings import merged


def composed(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, list(overrides))


def differences(left, right, where=""):
    """Names of the settings in which two dataclasses differ, with both values."""
    if is_dataclass(left) and type(left) is type(right):
        parts = (differences(getattr(left, f.name), getattr(right, f.name), f"{where}.{f.name}") for f in fields(left))
        return [one for part in parts for one in part]
    return [] if left == right else [f"{where}: {left!r}, {right!r}"]


@pytest.mark.parametrize("name", DEVICES)
def test_what_the_yaml_of_a_device_says_is_its_default(name):
    said = plain(composed("teleop", f"device={name}").device)
    said.pop("keys_from", None)
    assert differences(device_settings(said), device_settings({"device": name})) == []
    assert merged(TakeoverConfig(), said["takeover"], "device.takeover") == TakeoverConfig()


def test_what_the_yaml_of_a_camera_says_is_its_default():
    said = composed("teleop", "robot=widowx").robot.cameras.front
    said.serial = "77"
    made = camera_settings("front", said, 96)
    assert differences(made, CameraConfig("front", RealSenseConfig("77"), (96, 96))) == []
    documented = set(said) - {"kind", "crop", "latency_ms", "patience"}
    assert documented == {field.name for field in fields(RealSenseConfig)} - {"stand_in"}


def test_a_cameras_patience_can_be_set():
    settings = OmegaConf.create({"kind": "uvc", "device": "x", "patience": {"frozen_s": 7.5}})
    assert camera_settings("front", settings, 96).patience == Patience(frozen_s=7.5)
    settings.patience = {"frozne_s": 7.5}
    with pytest.raises(ConfigError, match=r"robot\.cameras\.front\.patience has no setting 'frozne_s'"):
        camera_settings("front", settings, 96)
    settings.patience = {"frozen_s": -1}
    with pytest.raises(ConfigError, match="frozen_s"):
        camera_settings("front", settings, 96)


def test_how_control_changes_hands_can_be_set(tmp_path):
    config = composed(
        "actor", "device=keyboard", f"device.path={tmp_path / 'keys'}", "device.takeover.take_over_by=key",
        "device.takeover.still_s=null",
    )  # fmt: skip
    os.mkfifo(tmp_path / "keys")
    writer = os.open(tmp_path / "keys", os.O_RDWR)
    try:
        with open_takeover(config, FaultLatch(), print, threading.Event(), {}) as takeover:
            assert isinstance(takeover, Takeover)
            assert takeover._config == TakeoverConfig("key", None, False)
        config.device.takeover.take_over_by = "voice"
        with (
            pytest.raises(ConfigError, match="take_over_by=voice is unknown; expected one of motion, key"),
            open_takeover(config, FaultLatch(), print, threading.Event(), {}),
        ):
            pass
    finally:
        os.close(writer)
