"""Dead zone, curve, scale, axis map and keys against numbers worked out by hand; the action that comes out."""

import math

import numpy as np
import pytest

from drivers.teleop.axes import AxisMap
from drivers.teleop.controls import Controls, ControlsConfig
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion, to_action
from drivers.teleop.response import Response
from trajectories.errors import ConfigError

NAMES = frozenset({"x", "y", "z", "a", "b", "c"})
BUTTONS = frozenset({"a", "b", "c"})
LINEAR = Response(dead_zone=0.2, expo=0.0, coarse=1.0, fine=0.5)
S = 1_000_000_000


def controls(**settings):
    settings.setdefault("axes", {"dx": "+x", "dyaw": "-y"})
    settings.setdefault("response", LINEAR)
    return Controls(ControlsConfig(**settings), NAMES, BUTTONS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 0.0), (0.2, 0.0), (-0.2, 0.0), (0.6, 0.5), (-0.6, -0.5), (1.0, 1.0), (-1.0, -1.0), (3.0, 1.0), (0.28, 0.1)],
)
def test_beyond_the_dead_zone_a_straight_response_rises_from_zero_to_one(value, expected):
    assert LINEAR.curve(value) == pytest.approx(expected)


def test_the_exponential_curve_by_hand():
    # expo = ln 4 and half of the way beyond the dead zone: (4^0.5 - 1) / (4 - 1) = 1 / 3.
    response = Response(dead_zone=0.1, expo=math.log(4.0), coarse=0.6, fine=0.3, rotation=0.5)
    assert response.curve(0.55) == pytest.approx(1 / 3)
    assert response.curve(-0.55) == pytest.approx(-1 / 3)
    assert response.curve(1.0) == pytest.approx(1.0)
    deflections = [0.55, 1.0, 0.1, 1.0, -0.55, 0.0]
    assert response.rates(deflections, fine=False) == pytest.approx([0.2, 0.6, 0.0, 0.3, -0.1, 0.0])
    assert response.rates(deflections, fine=True) == pytest.approx([0.1, 0.3, 0.0, 0.15, -0.05, 0.0])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dead_zone", -0.1), ("dead_zone", 0.95), ("dead_zone", math.nan), ("expo", -1.0), ("coarse", 1.5),
        ("fine", 0.0), ("fine", 0.7), ("rotation", "fast"), ("coarse", True),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(setting, value):
    with pytest.raises(ConfigError, match=rf"response\.{setting}"):
        Response(**{setting: value})


def test_axes_take_signed_sums_of_controls():
    axes = AxisMap({"dx": "+x -y", "dpitch": "-z"}, NAMES)
    assert axes.deflections({"x": 0.5, "y": 0.25, "z": 0.75}) == [0.25, 0.0, 0.0, 0.0, -0.75, 0.0]
    assert axes.deflections({"x": 1.0, "y": -1.0}) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert axes.controls == {"x", "y", "z"}


@pytest.mark.parametrize(
    ("mapping", "said"), [({"up": "+x"}, "up.*dz"), ({"dx": "x"}, r"\+x or -x"), ({"dx": "+w"}, "'w'.*x, y")]
)
def test_wrong_axis_maps_say_what_is_valid(mapping, said):
    with pytest.raises(ConfigError, match=said):
        AxisMap(mapping, NAMES)


def test_the_action_of_a_motion():
    motion = Motion(0.1, -0.2, 0.3, -0.4, 0.5, -2.0, active=True)
    action = to_action(motion, gripper_open=False)
    assert action.dtype == np.float32
    np.testing.assert_allclose(action, [0.1, -0.2, 0.3, -0.4, 0.5, -1.0, -1.0], rtol=1e-6)


@pytest.mark.parametrize(
    "motion",
    [
        Motion(dx=1.0, active=False),
        Motion(dx=1.0, active=True, problem="unplugged"),
        Motion(dx=math.nan, dy=1.0, active=True),
    ],
)
def test_what_cannot_be_relied_on_is_a_hold(motion):
    assert to_action(motion, True).tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert to_action(motion, False).tolist() == [0, 0, 0, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("wish", "was_open", "command"),
    [
        (Gripper.UNCHANGED, True, 1), (Gripper.UNCHANGED, False, -1), (Gripper.OPEN, False, 1),
        (Gripper.CLOSED, True, -1),
    ],
)  # fmt: skip
def test_the_gripper_keeps_its_command_until_the_person_wants_otherwise(wish, was_open, command):
    assert to_action(Motion(gripper=wish), was_open)[6] == command


def test_below_the_dead_zone_nobody_acts():
    state = controls(response=Response(dead_zone=0.5, expo=0.0, coarse=1.0))
    state.update([("x", 0.5)], S)
    assert state.motion(S) == Motion(t_ns=S)
    state.update([("x", 0.75), ("y", 0.75)], 2 * S)
    assert state.motion(2 * S) == Motion(dx=0.5, dyaw=-0.5, active=True, t_ns=2 * S)
    state.reset(3 * S)
    assert state.motion(3 * S) == Motion(t_ns=3 * S)


def test_with_an_enable_button_only_that_counts():
    state = controls(enable="a")
    state.update([("x", 1.0)], S)
    assert state.motion(S) == Motion(t_ns=S)
    state.update([("a", 1.0)], S)
    assert state.motion(S).dx == 1.0
    state.update([("x", 0.0)], S)
    assert state.motion(S) == Motion(active=True, t_ns=S)  # held still: the person holds the arm
    state.update([("x", 1.0), ("a", 0.0), ("a", 1.0), ("a", 0.0)], S)
    assert state.motion(S) == Motion(t_ns=S)  # a tap is no holding


def test_fine_while_its_button_is_held():
    state = controls(fine="b")
    state.update([("x", 1.0), ("b", 1.0)], S)
    assert state.motion(S).dx == 0.5
    state.update([("b", 0.0)], S)
    assert state.motion(S).dx == 1.0


def test_a_silent_device_that_was_deflected_is_not_believed():
    state = controls(stale_s=0.5, gripper_close="a")
    state.update([("x", 1.0), ("a", 1.0)], S)
    assert state.motion(S + S // 2).active
    motion = state.motion(S + S // 2 + 1_000_000)
    assert not motion.active
    assert motion.rates == (0.0,) * 6
    assert motion.gripper is Gripper.UNCHANGED
    assert "no event for 0.5 s" in motion.problem
    state.update([("x", 0.9)], 3 * S)
    assert state.motion(3 * S).active


def test_a_silent_device_at_rest_is_fine():
    state = controls(stale_s=0.5)
    state.update([("x", 0.0)], S)
    assert state.motion(100 * S).problem is None


def test_a_tap_between_two_looks_counts_once():
    state = controls(axes={"dx": "+a -b", "dy": "+x"}, gripper_open="c")
    state.update([("b", 1.0)], S)
    state.update([("b", 0.0), ("c", 1.0), ("c", 0.0)], S)
    motion = state.motion(S)
    assert (motion.dx, motion.gripper) == (-1.0, Gripper.OPEN)
    assert state.motion(S) == Motion(t_ns=S)
    state.update([("x", 1.0), ("x", 0.0)], S)
    assert state.motion(S) == Motion(t_ns=S)  # a stick that is back in the middle is at rest


def test_keys_come_once_a_press_and_in_order():
    state = controls(keys={"a": "toggle gripper", "b": "emergency hold", "x": "undo"})
    assert state.update([("a", 1.0)], S) == [Key.GRIPPER]
    assert state.update([("a", 1.0), ("b", 1.0)], S) == [Key.HOLD]
    assert state.update([("a", 0.0), ("a", 1.0)], S) == [Key.GRIPPER]
    state.update([("x", 0.45)], S)
    state.update([("x", 0.6)], S)
    state.update([("x", 0.45)], S)  # no bounce: let go below 0.4 only
    state.update([("x", 0.6)], S)
    assert state.drain() == [Key.GRIPPER, Key.HOLD, Key.GRIPPER, Key.UNDO]
    assert state.drain() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"keys": {"a": "jump"}}, "jump.*emergency hold"),
        ({"keys": {"q": "undo"}}, "'q'.*a, b"),
        ({"enable": "q"}, "enable.*'q'"),
        ({"stale_s": 0.0}, "stale_s"),
    ],
)
def test_wrong_meanings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        controls(**settings)
