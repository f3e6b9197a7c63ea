"""The controls of a device in words."""

import pytest

from drivers.teleop.device import DEVICES
from drivers.teleop.keys import Key
from drivers.teleop.legend import control_name, legend, motions
from trajectories.errors import ConfigError


@pytest.mark.parametrize(
    ("control", "name"),
    [
        ("KEY_ENTER", "enter"),
        ("KEY_LEFTSHIFT", "leftshift"),
        ("BTN_SOUTH", "south button"),
        ("BTN_START", "start"),
        ("ABS_RZ", "right trigger"),
        ("BUTTON_0", "button 0"),
    ],
)
def test_names_of_controls(control, name):
    assert control_name(control) == name


@pytest.mark.parametrize("device", ["gamepad", "keyboard"])
def test_every_key_of_a_full_device_has_a_button(device):
    assert set(Key) <= set(legend({"device": device}))


def test_gripper_fine_motion_and_enable_are_named():
    found = legend({"device": "gamepad", "controls": {"enable": "BTN_TL2"}})
    assert found["fine motion"] == "left trigger"
    assert found["close gripper"] == "right trigger"
    assert found["hold to move"] == "left trigger"
    assert "open gripper" not in found


def test_keys_that_move_the_arm_are_named():
    found = motions({"device": "keyboard"})
    assert found["move forward / back"] == "w / s"
    assert found["move up / down"] == "r / f"
    assert len(found) == 6
    assert motions({"device": "gamepad"}) == {}  # sticks
    assert motions({"device": "leader", "port": "x"}) == {}


def test_two_devices_share_a_legend():
    keyboard = {"device": "keyboard", "path": "terminal"}
    found = legend({"device": "spacemouse", "keys_from": keyboard})
    assert found[Key.GRIPPER] == "button 0 or space"
    assert found[Key.START] == "enter"
    assert found["open gripper"] == "o"
    assert "fine motion" not in found  # of the keyboard's own motion, which doesn't count
    assert legend({"device": "leader", "port": "x", "keys_from": keyboard})[Key.SUCCESS] == "y"
    assert legend({"device": "leader", "port": "x"}) == {}


def test_two_buttons_may_mean_the_same():
    keys = {"BUTTON_0": "start", "BUTTON_1": "start"}
    assert legend({"device": "spacemouse", "controls": {"keys": keys}}) == {Key.START: "button 0 or button 1"}


def test_wrong_settings_are_refused_as_when_opening():
    with pytest.raises(ConfigError, match="dance"):
        legend({"device": "keyboard", "controls": {"keys": {"KEY_A": "dance"}}})
    with pytest.raises(ConfigError, match=DEVICES[0]):
        legend({"device": "harp"})
