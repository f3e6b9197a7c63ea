"""A device as the person of a demonstration: actions, words, the gripper's key, trouble."""

import numpy as np
from helpers.fake_input import EventPipe, ScriptedDevice, wait_for

from drivers.teleop.demonstrator import Demonstrator
from drivers.teleop.gamepad import GamepadConfig, gamepad
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion
from robot.demonstration.words import Word

PUSH = Motion(dx=0.5, dyaw=-0.25, active=True)


class Keys(ScriptedDevice):
    """Keys may come at any time, as they do from a device's thread."""

    def press(self, *keys):
        self._keys.extend(keys)

    def latest(self):
        return self.script.pop(0) if self.script else Motion()


def test_motion_becomes_the_action_and_rest_is_a_hold():
    person = Demonstrator(Keys(PUSH))
    np.testing.assert_array_equal(person.action(True), np.float32([0.5, 0, 0, 0, 0, -0.25, 1]))
    np.testing.assert_array_equal(person.action(True), np.float32([0, 0, 0, 0, 0, 0, 1]))
    np.testing.assert_array_equal(person.action(False), np.float32([0, 0, 0, 0, 0, 0, -1]))


def test_keys_become_words_in_their_order_and_the_others_none():
    device = Keys()
    person = Demonstrator(device)
    device.press(*Key)
    said = person.words()
    assert [word.value for word in said] == [key.value for key in Key if key.value in {w.value for w in Word}]
    assert set(said) == set(Word)
    assert person.words() == []


def test_words_said_while_acting_are_not_lost():
    device = Keys()
    person = Demonstrator(device)
    device.press(Key.START)
    person.action(True)
    device.press(Key.SUCCESS)
    person.moving()
    device.press(Key.STOP)
    assert person.words() == [Word.START, Word.SUCCESS, Word.STOP]


def test_the_gripper_key_toggles_what_the_gripper_was_told_last():
    device = Keys()
    person = Demonstrator(device)
    device.press(Key.GRIPPER)
    assert person.words() == []  # counted there, used by the next action
    assert person.action(True)[6] == -1.0
    assert person.action(False)[6] == -1.0
    device.press(Key.GRIPPER, Key.GRIPPER)
    assert person.action(False)[6] == -1.0
    device.press(Key.GRIPPER)
    assert person.action(False)[6] == 1.0


def test_a_wish_of_the_device_counts_without_the_key():
    person = Demonstrator(Keys(Motion(gripper=Gripper.CLOSED), Motion(gripper=Gripper.OPEN)))
    assert person.action(True)[6] == -1.0
    assert person.action(False)[6] == 1.0


def test_what_was_toggled_before_the_start_is_forgotten():
    device = Keys(PUSH, Motion())
    person = Demonstrator(device)
    device.press(Key.GRIPPER)
    assert person.moving()
    assert not person.moving()
    assert person.action(True)[6] == 1.0


def test_trouble_is_told_until_the_device_is_back():
    pipe = EventPipe()
    with gamepad(GamepadConfig(reconnect_s=0.01), pipe.node) as device:
        device.start()
        person = Demonstrator(device)
        person.action(True)
        assert person.problem is None
        pipe.send(("ABS_Y", -32768))
        wait_for(lambda: device.status.events == 1)
        assert person.action(True)[0] > 0.5
        pipe.unplug()
        wait_for(lambda: device.status.reconnects == 1)
        assert not person.action(True)[:6].any()
        assert person.problem is None
    assert not person.action(True)[:6].any()
    assert "not open" in person.problem
