"""What the watchdog decides, with known numbers; what the pump counts; which settings are refused."""

import dataclasses
import json
import os
import time

import numpy as np
import pytest
from helpers.camera_helpers import wait_until

from drivers.cameras import watchdog
from drivers.cameras.child import Pump
from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.fitting import fit_colour, fit_depth, window
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.ring import FrameRing, Stamp
from drivers.cameras.source import RawFrame
from drivers.cameras.uvc import UvcConfig
from drivers.cameras.watchdog import State, judge, pause_s, why_kill
from trajectories.errors import ConfigError

S = 1_000_000_000
PATIENCE = Patience(stale_s=1, frozen_s=2, bad_s=3, hang_s=4, open_s=5, first_wait_s=0.5, longest_wait_s=3)


def test_states():
    assert judge(10 * S, 9 * S, None, PATIENCE) is State.STARTING
    assert judge(10 * S, 9 * S, Stamp(8 * S, 8 * S), PATIENCE) is State.STARTING, "a frame of the process before"
    assert judge(10 * S, 8 * S, Stamp(9 * S, 9 * S), PATIENCE) is State.STREAMING
    assert judge(10 * S + 1, 8 * S, Stamp(9 * S, 9 * S), PATIENCE) is State.STALE
    assert judge(10 * S, 8 * S, Stamp(10 * S, 8 * S), PATIENCE) is State.STREAMING
    assert judge(10 * S, 8 * S, Stamp(10 * S, 8 * S - 1), PATIENCE) is State.FROZEN


@pytest.mark.parametrize(
    ("state", "held_s", "silent_s", "why"),
    [
        (State.STREAMING, 100, 4, None),
        (State.STREAMING, 100, 4.1, "hung"),
        (State.STARTING, 5, None, None),
        (State.STARTING, 5.1, None, "no frame within 5 s"),
        (State.STARTING, 1, 4.1, "hung"),
        (State.STALE, 3, 0, None),
        (State.STALE, 3.1, 0, "stayed stale"),
        (State.FROZEN, 3.1, 0, "stayed frozen"),
    ],
)
def test_reasons_to_kill(state, held_s, silent_s, why):
    now = 1000 * S
    beat = None if silent_s is None else now - round(silent_s * S)
    found = why_kill(now, state, now - round(held_s * S), beat, PATIENCE)
    assert found is None if why is None else why in found


def test_pauses_double_up_to_the_longest():
    assert [pause_s(n, PATIENCE) for n in (1, 2, 3, 4, 5, 10_000)] == [0.5, 1, 2, 3, 3, 3]


class FailingProcess:
    """A process that has ended at once, of which every second can't even be started."""

    pid, killed, opened, failure, ending = 1, None, False, ("CameraError", "no such device"), "no such device"
    exited = True

    def __init__(self, starts):
        starts.append(time.monotonic())
        self.started_ns = time.monotonic_ns()
        if len(starts) % 2 == 0:
            raise OSError("no more processes")

    def listen(self):
        pass

    release = stop = listen


def test_starts_that_fail_are_repeated_with_growing_pauses(monkeypatch):
    starts = []
    monkeypatch.setattr(watchdog, "CameraProcess", lambda config, ring: FailingProcess(starts))
    patience = Patience(first_wait_s=0.1, longest_wait_s=0.3)
    config = CameraConfig("front", UvcConfig("x", (2, 2)), (2, 2), patience=patience)
    with FrameRing.create((2, 2)) as ring:
        dog = watchdog.Watchdog(config, ring)
        wait_until(lambda: len(starts) == 2 and dog.state is State.LOST)
        assert "no more processes" in dog.last_error
        wait_until(lambda: len(starts) == 5)
        dog.close()
    for pause, before, after in zip((0.1, 0.2, 0.3, 0.3), starts, starts[1:], strict=False):
        assert after - before >= pause
    assert not dog.gave_up


def raw(value, t_ns, number):
    return RawFrame(np.full((2, 2, 3), value, np.uint8), None, t_ns, number)


def test_the_pump_notices_repeated_and_missing_frames():
    config = CameraConfig("front", UvcConfig("x", (2, 2)), (2, 2))
    with FrameRing.create((2, 2)) as ring, FrameRing.attach(os.dup(ring.owner_fd), writable=True) as writer:
        pump = Pump(config, writer)
        changed, dropped = [], []
        for value, t_ns, number in [(1, 10, 5), (1, 20, 6), (2, 30, 9), (2, 40, 10), (1, 50, 3)]:
            pump.put(raw(value, t_ns, number))
            changed.append(ring.stamp().changed_ns)
            dropped.append(ring.dropped)
        assert changed == [10, 10, 30, 30, 50]
        assert dropped == [0, 0, 2, 2, 2], "numbers that start anew are no loss"
        after = Pump(config, writer)
        after.put(raw(1, 60, 1))
        assert ring.stamp().changed_ns == 50, "still the image of the process before"


def test_the_window_is_the_largest_in_the_middle_with_the_wanted_shape():
    assert window((480, 640), (96, 96), None) == (0, 80, 480, 480)
    assert window((480, 640), (48, 96), None) == (80, 0, 320, 640)
    assert window((480, 640), (480, 640), None) == (0, 0, 480, 640)
    assert window((480, 640), (96, 96), (10, 20, 100, 96)) == (10, 20, 100, 96)


def test_fitting_takes_the_mean_of_colours_and_the_nearest_depth():
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[:, 1:5] = np.array([[10, 30, 50, 70]] * 4, np.uint8)[..., None]
    colour[2:, 1:3] = 100
    part = window((4, 6), (2, 2), None)
    assert part == (0, 1, 4, 4)
    assert fit_colour(colour, (2, 2), part)[..., 0].tolist() == [[20, 60], [100, 60]]
    depth = np.array([[0, 500, 0, 900], [7, 7, 7, 7]], np.uint16)
    assert set(fit_depth(depth, (1, 2), (0, 0, 2, 4)).ravel().tolist()) <= {0, 500, 900, 7}
    assert fit_colour(colour, (4, 6), (0, 0, 4, 6)).tolist() == colour.tolist()


UVC = UvcConfig("/dev/video0")
SENSE = RealSenseConfig("0123", depth=True, exposure_us=5000)


@pytest.mark.parametrize(
    "config",
    [
        CameraConfig("front", UVC),
        CameraConfig("wrist", SENSE, (120, 160), crop=(0, 0, 240, 320), latency_ms=35, patience=PATIENCE),
    ],
)
def test_settings_survive_the_way_into_the_process(config):
    assert CameraConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: UvcConfig(""), "by-id"),
        (lambda: UvcConfig("x", (480,)), "resolution"),
        (lambda: UvcConfig("x", fps=0), "fps is 0"),
        (lambda: UvcConfig("x", fourcc="MJPEG"), "four letters"),
        (lambda: UvcConfig("x", exposure_us=-1), "exposure_us"),
        (lambda: RealSenseConfig(123), "in quotes"),
        (lambda: RealSenseConfig("1", fps=float("nan")), "fps"),
        (lambda: CameraConfig("a", UVC, (0, 96)), "at least one pixel"),
        (lambda: CameraConfig("a", UVC, (500, 640)), "higher resolution"),
        (lambda: CameraConfig("a", UVC, crop=(0, 0, 481, 640)), "leaves the camera's image"),
        (lambda: CameraConfig("a", UVC, crop=(0, 0, 95, 640)), "larger crop"),
        (lambda: CameraConfig("a", UVC, crop=(0, 0, 96)), "crop"),
        (lambda: CameraConfig("a", UVC, latency_ms=-1), "latency_ms"),
        (lambda: Patience(stale_s=0), "stale_s"),
        (lambda: Patience(first_wait_s=20), "longest_wait_s"),
        (lambda: CameraConfig.from_dict({**CameraConfig("a", UVC).to_dict(), "kind": "gige"}), "realsense"),
    ],
)
def test_wrong_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_settings_from_lists_are_tuples():
    config = CameraConfig("a", UvcConfig("x", [480, 640]), [96, 96], crop=[0, 0, 480, 480])
    assert (config.size, config.crop, config.source.resolution) == ((96, 96), (0, 0, 480, 480), (480, 640))
    assert dataclasses.replace(config, size=(48, 48)).size == (48, 48)
