"""Gamepad and keyboard from raw input events through pipes: values, keys, unplug and reconnect, lost events."""

import os
from types import SimpleNamespace

import pytest
from helpers.fake_input import EventPipe, wait_for

from drivers.teleop.gamepad import AxisScale, GamepadConfig, gamepad, gamepad_controls
from drivers.teleop.input_codes import ABSOLUTE, BUTTONS, KEYS
from drivers.teleop.input_events import INPUT_EVENT, EventConnection
from drivers.teleop.input_nodes import EvdevNode, kinds
from drivers.teleop.keyboard import KeyboardConfig, key_value, keyboard
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper
from drivers.teleop.status import State
from trajectories.settings import merged

FULL = {"response": {"dead_zone": 0.1, "expo": 0.0, "coarse": 1.0, "fine": 0.25}}


def after(device, count):
    """Wait until that many reports have arrived."""
    wait_for(lambda: device.status.events >= count)
    return device.latest()


@pytest.fixture
def pad():
    pipe = EventPipe()
    config = merged(GamepadConfig(reconnect_s=0.01), {"controls": FULL}, "gamepad")
    with gamepad(config, pipe.node) as device:
        device.start()
        yield SimpleNamespace(device=device, pipe=pipe)


@pytest.fixture
def board():
    pipe = EventPipe()
    with keyboard(merged(KeyboardConfig(), {"controls": FULL}, "keyboard"), pipe.node) as device:
        device.start()
        yield SimpleNamespace(device=device, pipe=pipe)


def test_codes_are_the_kernels():
    ecodes = pytest.importorskip("evdev").ecodes.ecodes
    table = ABSOLUTE | BUTTONS | KEYS
    assert len(table) > 90
    assert {name: ecodes[name] for name in table} == table


def test_axes_are_normalised_by_their_range():
    scale = AxisScale(("ABS_Z",), {"ABS_X": (0, 200), "ABS_Z": (0, 1000)})
    assert [scale("ABS_X", v) for v in (0, 50, 100, 200, 900)] == [-1.0, -0.5, 0.0, 1.0, 1.0]
    assert [scale("ABS_Z", v) for v in (0, 250, 1000)] == [0.0, 0.25, 1.0]
    assert scale("ABS_Y", -32768) == -1.0
    assert [scale("ABS_HAT0X", v) for v in (-1, 0, 1)] == [-1.0, 0.0, 1.0]
    assert scale("KEY_A", 1) is None


def test_sticks_hat_and_triggers_of_a_gamepad(pad):
    pad.pipe.send(("ABS_Y", -32768), ("ABS_X", 32767), ("ABS_HAT0X", 1))
    motion = after(pad.device, 1)
    assert motion.rates == pytest.approx((1.0, -1.0, 0.0, 1.0, 0.0, 0.0))
    assert motion.active
    pad.pipe.send(("ABS_Z", 255))  # fine
    assert after(pad.device, 2).dx == pytest.approx(0.25)
    pad.pipe.send(("ABS_RZ", 255))
    assert after(pad.device, 3).gripper is Gripper.CLOSED
    pad.pipe.send(("ABS_RZ", 0))
    assert after(pad.device, 4).gripper is Gripper.UNCHANGED


def test_events_count_from_the_end_of_their_report_and_may_come_in_pieces():
    pipe = EventPipe()
    connection = EventConnection(pipe.node(), key_value)
    press = INPUT_EVENT.pack(0, 0, 1, KEYS["KEY_W"], 1)
    pipe.raw(press + press[:7])  # no SYN_REPORT yet, and the second struct is cut
    assert connection.read(1.0) is None
    pipe.raw(press[7:])
    pipe.send(("KEY_A", 1))
    assert connection.read(1.0) == (("KEY_W", 1.0), ("KEY_W", 1.0), ("KEY_A", 1.0))
    assert connection.read(0.0) is None
    connection.close()


def test_every_button_of_the_gamepad_has_its_key(pad):
    meanings = gamepad_controls().keys
    for count, button in enumerate(meanings):
        pad.pipe.send((button, 1))
        pad.pipe.send((button, 0))
        after(pad.device, 2 * count + 2)
    assert [key.value for key in pad.device.pressed()] == list(meanings.values())
    assert set(meanings.values()) == {key.value for key in Key}


def test_unplugged_means_not_active_and_the_next_plug_is_found(pad):
    pad.pipe.send(("ABS_Y", -32768), ("BTN_START", 1))
    assert after(pad.device, 1).active
    pad.pipe.unplug()
    wait_for(lambda: pad.pipe.opened == 2)
    wait_for(lambda: pad.device.status.reconnects == 1)
    motion = pad.device.latest()
    assert not motion.active  # the stick of the old plug is forgotten
    assert motion.rates == (0.0,) * 6
    assert pad.device.pressed() == [Key.START]  # what was pressed still counts
    pad.pipe.send(("ABS_X", -32768))
    assert after(pad.device, 2).rates == pytest.approx((0.0, 1.0, 0.0, 0.0, 0.0, 0.0))


def test_while_it_is_lost_the_device_says_so():
    pipe = EventPipe()
    plugs = [pipe.node]

    def plug():
        if not plugs:
            raise FileNotFoundError("no gamepad")
        return plugs.pop()()

    with gamepad(GamepadConfig(reconnect_s=0.01), plug) as device:
        device.start()
        pipe.send(("ABS_Y", -32768))
        assert after(device, 1).active
        pipe.unplug()
        wait_for(lambda: device.status.state is State.LOST)
        wait_for(lambda: "no gamepad" in device.latest().problem)
        assert not device.latest().active
        assert device.latest().problem.startswith("gamepad: ")
        plugs.append(pipe.node)
        wait_for(lambda: device.status.state is State.CONNECTED)
        assert device.latest().problem is None
    assert device.status.state is State.CLOSED
    assert device.latest().problem == "gamepad: it is not open"


def test_after_lost_events_a_pipe_counts_as_let_go(pad):
    pad.pipe.send(("ABS_Y", -32768), ("BTN_START", 1))
    after(pad.device, 1)
    pad.pipe.drop(("ABS_X", 32767))
    assert not after(pad.device, 2).active
    pad.pipe.send(("ABS_X", 32767))
    assert after(pad.device, 3).dy == pytest.approx(-1.0)


class KernelNode:
    """A pipe that knows the state of its device, as the kernel does."""

    def __init__(self, pipe, state):
        self._node = pipe.node()
        self.fileno, self.close, self.where = self._node.fileno, self._node.close, "kernel"
        self.known = state

    def ranges(self):
        return {"ABS_Y": (0, 100)}

    def state(self):
        return self.known


def test_after_lost_events_the_kernel_is_asked():
    pipe = EventPipe()
    nodes = []

    def opener():
        nodes.append(KernelNode(pipe, {"ABS_Y": 0, "BTN_SOUTH": 1}))
        return nodes[0]

    with gamepad(merged(GamepadConfig(), {"controls": FULL}, "gamepad"), opener) as device:
        device.start()
        assert after(device, 1).dx == pytest.approx(1.0)
        assert device.pressed() == []  # held since before: no press
        pipe.send(("BTN_SOUTH", 0))
        pipe.send(("BTN_SOUTH", 1))
        after(device, 3)
        assert device.pressed() == [Key.GRIPPER]
        nodes[0].known = {"ABS_Y": 50, "BTN_SOUTH": 1, "BTN_EAST": 1}
        pipe.drop(("ABS_Y", 100))
        assert not after(device, 4).active
        assert device.pressed() == [Key.HOLD]  # the press that was lost; the other button was held all the time


def test_evdev_devices_tell_ranges_and_state():
    info = SimpleNamespace(min=-5, max=5, value=3)
    device = SimpleNamespace(
        name="Pad", path="/dev/input/event7", fd=3,
        capabilities=lambda absinfo: {3: [(ABSOLUTE["ABS_X"], info), (40, info)], 1: [304]},
        absinfo=lambda code: info, active_keys=lambda: [BUTTONS["BTN_SOUTH"], 700],
    )  # fmt: skip
    node = EvdevNode(device)
    assert node.where == "Pad (/dev/input/event7)"
    assert node.ranges() == {"ABS_X": (-5, 5)}
    assert node.state() == {"ABS_X": 3, "BTN_SOUTH": 1}


def test_devices_are_told_apart_by_what_they_have():
    assert kinds({1: [304, 305], 3: [0, 1]}) == {"gamepad"}
    assert kinds({1: [28, 30, 44]}) == {"keyboard"}
    assert kinds({1: [272], 2: [0, 1]}) == set()  # a mouse


def test_held_keys_are_rates_and_repetition_changes_nothing(board):
    board.pipe.send(("KEY_W", 1), ("KEY_A", 1), ("KEY_SPACE", 1))
    assert after(board.device, 1).rates == (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    board.pipe.send(("KEY_W", 2), ("KEY_SPACE", 2))
    assert after(board.device, 2).rates == (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    assert board.device.pressed() == [Key.GRIPPER]
    board.pipe.send(("KEY_S", 1))  # both ways: none
    assert after(board.device, 3).rates == (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    board.pipe.send(("KEY_S", 0), ("KEY_A", 0), ("KEY_LEFTSHIFT", 1))
    assert after(board.device, 4).rates == (0.25, 0.0, 0.0, 0.0, 0.0, 0.0)
    board.pipe.send(("KEY_W", 0))
    assert not after(board.device, 5).active


def test_keys_reach_a_listener_at_once_and_the_queue_too():
    pipe, heard = EventPipe(), []
    with keyboard(KeyboardConfig(), pipe.node) as device:
        device.start(heard.append)
        pipe.send(("KEY_ESC", 1))
        wait_for(lambda: heard == [Key.HOLD])
        assert device.pressed() == [Key.HOLD]


def test_a_failing_listener_makes_the_device_lost_but_does_not_end_it():
    pipe = EventPipe()

    def listener(key):
        raise ValueError("boom")

    with keyboard(KeyboardConfig(reconnect_s=0.01), pipe.node) as device:
        device.start(listener)
        pipe.send(("KEY_ESC", 1))
        wait_for(lambda: device.status.reconnects == 1)
        assert device.pressed() == [Key.HOLD]
        pipe.send(("KEY_W", 1))
        assert after(device, 2).active


def test_reading_never_waits(board):
    """The reader thread sits in a read without data; the control loop gets its answer all the same."""
    before = board.device.latest()
    assert not before.active
    assert before.problem is None
    assert board.device.pressed() == []


def test_a_connection_without_data_returns_none():
    connection = EventConnection(EventPipe().node(), key_value)
    assert connection.read(0.0) is None
    connection.close()
    connection.close()


def test_a_named_pipe_is_a_device(tmp_path):
    path = tmp_path / "keys"
    os.mkfifo(path)
    with keyboard(KeyboardConfig(path=str(path), reconnect_s=0.01)) as device:
        device.start()
        pipe = EventPipe()
        pipe.write_end = os.open(path, os.O_WRONLY)
        pipe.send(("KEY_W", 1))
        assert after(device, 1).active
        pipe.unplug()
        wait_for(lambda: device.status.reconnects >= 1)
        assert not device.latest().active
