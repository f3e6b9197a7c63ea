"""Opening by name: settings from plain mappings, and errors that say what to do."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest
from helpers.fake_input import EventPipe, wait_for

from drivers.errors import TeleopError
from drivers.teleop import input_nodes
from drivers.teleop.device import DEVICES, make_device, open_device
from drivers.teleop.gamepad import GamepadConfig
from drivers.teleop.keys import Key
from drivers.teleop.status import State
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.settings import merged

PAD = {1: [304], 3: [0, 1]}
BOARD = {1: [28, 30, 44]}


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """A /dev/input of ours with event nodes, and an evdev module that opens them."""
    opened = []

    def input_device(path):
        opened.append(path)
        number = int(path.removeprefix(str(tmp_path / "event")))
        return SimpleNamespace(
            name=f"Device {number}", path=path, fd=os.open(os.devnull, os.O_RDONLY), absinfo=lambda code: None,
            capabilities=lambda absinfo: {} if absinfo else (PAD if number == 10 else BOARD),
            active_keys=list, close=lambda: None,
        )  # fmt: skip

    monkeypatch.setattr(input_nodes, "INPUT_FOLDER", tmp_path)
    monkeypatch.setitem(sys.modules, "evdev", SimpleNamespace(InputDevice=input_device))
    for number in (2, 10):
        (tmp_path / f"event{number}").touch()
    return SimpleNamespace(path=tmp_path, opened=opened)


def test_every_device_has_a_default_that_can_be_made():
    for name in DEVICES:
        device = make_device({"device": name} | ({"port": "U2D2"} if name == "leader" else {}))
        assert device.status.state is State.CLOSED
        assert not device.latest().active


def test_settings_from_a_mapping_are_merged():
    raw = {"triggers": ["ABS_GAS"], "controls": {"enable": "BTN_TL2", "response": {"dead_zone": 0.3}}}
    config = merged(GamepadConfig(), raw, "gamepad")
    assert config.triggers == ("ABS_GAS",)
    assert config.controls.enable == "BTN_TL2"
    assert config.controls.response.dead_zone == 0.3
    assert config.controls.response.coarse == GamepadConfig().controls.response.coarse
    assert config.controls.axes == GamepadConfig().controls.axes


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"device": "joystick"}, "'joystick'.*gamepad, keyboard, leader, spacemouse"),
        ({}, "None.*gamepad"),
        ({"device": "gamepad", "paht": "auto"}, "gamepad has no setting 'paht'.*path"),
        ({"device": "gamepad", "controls": {"response": {"deadzone": 1}}}, r"gamepad\.controls\.response has no"),
        ({"device": "gamepad", "controls": 3}, r"gamepad\.controls=3 is of the wrong kind; expected settings by name"),
        ({"device": "gamepad", "ranges": {"ABS_X": [5, 5]}}, r"gamepad\.ranges\.ABS_X"),
        ({"device": "gamepad", "triggers": ["ABS_W"]}, "ABS_W.*ABS_X"),
        ({"device": "keyboard", "held_s": "long"}, r"keyboard\.held_s='long'.*a finite number"),
        ({"device": "keyboard", "held_s": 0}, r"keyboard\.held_s"),
        ({"device": "keyboard", "controls": {"keys": {"KEY_A": "dance"}}}, "dance"),
        ({"device": "spacemouse", "backend": "usb"}, "usb.*spacenavd, hid"),
        ({"device": "spacemouse", "full_scale": 0}, "full_scale"),
        ({"device": "leader"}, "/dev/serial/by-id"),
        ({"device": "leader", "port": "x", "action_scale": [1, 1]}, r"leader\.action_scale"),
        ({"device": "leader", "port": "x", "follow": {"gripper_open_rad": 0}}, "gripper_closed_rad"),
        ({"device": "gamepad", "keys_from": {"device": "mouse"}}, "mouse"),
    ],
)
def test_wrong_settings_are_refused_with_the_valid_ones(config, said):
    with pytest.raises(ConfigError, match=said):
        make_device(config)


def test_a_missing_device_names_those_that_are_there(dev):
    (dev.path / "by-id").mkdir()
    (dev.path / "by-id" / "usb-Pad-event-joystick").touch()
    with pytest.raises(TeleopError, match=r"no device /dev/nothing.*usb-Pad-event-joystick"):
        open_device({"device": "gamepad", "path": "/dev/nothing"})


def test_no_permission_says_which_line_to_run(dev, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "evdev", SimpleNamespace(InputDevice=refuse))
    with pytest.raises(TeleopError, match=r"usermod -aG input \$USER.*uaccess.*udevadm"):
        open_device({"device": "keyboard", "path": os.devnull})
    monkeypatch.setattr(input_nodes.os, "access", lambda path, mode: False)
    with pytest.raises(TeleopError, match=r"2 may not be read .*event2.*usermod -aG input"):
        open_device({"device": "keyboard", "path": "auto"})


def test_something_else_than_a_device_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TeleopError, match="no input device"):
        open_device({"device": "keyboard", "path": str(tmp_path / "file")})


def test_auto_takes_the_first_of_its_kind(dev):
    node = input_nodes.open_node("auto", "gamepad")
    assert node.where == f"Device 10 ({dev.path}/event10)"
    assert [path[-2:] for path in dev.opened] == ["t2", "10"]
    assert input_nodes.open_node("auto", "keyboard").where.startswith("Device 2 ")
    (dev.path / "event10").unlink()
    with pytest.raises(TeleopError, match="no gamepad"):
        input_nodes.open_node("auto", "gamepad")


def test_a_missing_evdev_names_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(MissingDependencyError, match="pip install evdev"):
        open_device({"device": "gamepad", "path": os.devnull})


def test_an_open_device_is_read_in_the_background_until_it_is_closed(tmp_path):
    os.mkfifo(tmp_path / "pad")
    heard = []
    device = open_device({"device": "gamepad", "path": str(tmp_path / "pad")}, heard.append)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "teleop-gamepad"]
    assert thread.daemon  # it ends with the process
    with pytest.raises(TeleopError, match="open already"):
        device.start()
    pipe = EventPipe()
    pipe.write_end = os.open(tmp_path / "pad", os.O_WRONLY)
    pipe.send(("BTN_EAST", 1))
    wait_for(lambda: heard == [Key.HOLD])
    assert device.status.where == str(tmp_path / "pad")
    device.close()
    device.close()
    assert not thread.is_alive()
    assert device.status.state is State.CLOSED
