"""A camera in its own process: frames come through, and whatever goes wrong is noticed, refused and mended."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ENVIRONMENT
from helpers.camera_helpers import rings_of, runs, wait_until
from helpers.camera_stand_ins import HEIGHT, WIDTH, image_of, number_of
from helpers.process_camera import make

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.ring import FrameRing
from drivers.cameras.uvc import UvcConfig
from drivers.cameras.watchdog import State
from drivers.errors import CameraError
from robot.interfaces import Camera
from trajectories.errors import ConfigError, MissingDependencyError, StaleDataError

MS = 1_000_000
LONG = 60_000 * MS


def test_frames_stamps_status_and_a_clean_end(tmp_path):
    before = time.monotonic_ns()
    camera: Camera
    with make(tmp_path, latency_ms=40.0) as camera:
        camera.wait()
        first = camera.latest(LONG)
        wait_until(lambda: camera.status().frames > number_of(first.image) + 5)
        frame = camera.latest(LONG)
        assert np.array_equal(frame.image, image_of(number_of(frame.image)))
        assert number_of(frame.image) > number_of(first.image)
        assert frame.t_ns > first.t_ns
        with FrameRing.attach(camera.address) as other:
            newest = other.newest()
            assert np.array_equal(newest.colour, image_of(newest.stamp.number))
        stamp = camera._ring.stamp()
        assert before < stamp.t_ns <= time.monotonic_ns()
        assert camera._age_ns(stamp) > time.monotonic_ns() - stamp.t_ns + 39 * MS
        status = camera.status()
        assert (status.name, status.state, status.reconnects, status.dropped) == ("front", State.STREAMING, 0, 0)
        assert status.fps > 0
        assert status.age_ms >= 40
        assert status.exposure_us is None
        assert runs(status.pid)
        assert rings_of(status.pid)
        with pytest.raises(ConfigError, match="streams no depth"):
            camera.depth(LONG)
    assert not runs(status.pid)
    assert rings_of(os.getpid()) == []
    assert camera.status().state is State.LOST
    camera.close()
    with pytest.raises(StaleDataError, match="closed; open it again"):
        camera.latest(LONG)


def test_a_stale_frame_is_refused_with_age_state_and_device(tmp_path):
    with make(tmp_path, {"hang_after": 3}, latency_ms=250.0, stale_s=0.2, bad_s=60, hang_s=60) as camera:
        with pytest.raises(StaleDataError, match=r"no frame yet\. It is being opened"):
            camera.latest(LONG)
        wait_until(lambda: camera.status().frames == 3)
        assert number_of(camera.latest(LONG).image) == 3
        assert camera.latest(LONG).t_ns == camera._ring.stamp().t_ns - 250 * MS
        with pytest.raises(StaleDataError, match="at most 240 ms"):
            camera.latest(240 * MS)  # received just now or not: it was exposed 250 ms before
        wait_until(lambda: camera.status().state is State.STALE)
        with pytest.raises(StaleDataError, match=r"'front' \(.*orders.json\) is stale: .* ms old.* 100 ms.*cable"):
            camera.latest(100 * MS)
        assert camera.status().fps == 0


def test_a_frozen_camera_counts_as_none_and_stays_frozen_after_a_new_start(tmp_path):
    with make(tmp_path, {"freeze_after": 1}, frozen_s=0.3, bad_s=0.2) as camera:
        camera.wait()
        assert number_of(camera.latest(LONG).image) == 1
        wait_until(lambda: camera.status().state is State.FROZEN)
        with pytest.raises(StaleDataError, match=r"same image for .*at most 0.3 s"):
            camera.latest(LONG)
        frames = camera.status().frames
        wait_until(lambda: camera.status().reconnects >= 1 and camera.status().frames > frames + 20)
        assert "stayed frozen" in camera.status().last_error
        with pytest.raises(StaleDataError, match="same image"):
            camera.latest(LONG)


def test_a_killed_process_is_started_again(tmp_path):
    with make(tmp_path) as camera:
        camera.wait()
        pid, frames = camera.status().pid, camera.status().frames
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: camera.status().reconnects >= 1 and camera.status().state is State.STREAMING)
        status = camera.status()
        assert "code -9" in status.last_error
        assert status.pid != pid
        assert status.frames > frames
        assert not runs(pid)
        assert np.array_equal(*(f(camera.latest(LONG).image) for f in (lambda x: x, lambda x: image_of(number_of(x)))))


def test_a_process_that_hangs_in_the_driver_is_killed_and_started_again(tmp_path):
    with make(tmp_path, {"hang_after": 5}, hang_s=0.4) as camera:
        camera.wait()
        pid = camera.status().pid
        wait_until(lambda: camera.status().reconnects >= 1 and camera.status().frames > 5)
        assert "hung for more than 0.4 s" in camera.status().last_error
        assert not runs(pid)


def test_a_device_that_fails_is_lost_and_opened_again(tmp_path):
    with make(tmp_path, {"fail_after": 2}, first_wait_s=0.4, longest_wait_s=0.4) as camera:
        wait_until(lambda: camera.status().state is State.LOST)
        assert "stopped delivering" in camera.status().last_error
        assert camera.status().pid is None
        with pytest.raises(StaleDataError, match=r"is lost: .*Last error: .*stopped delivering"):
            camera.latest(0)
        wait_until(lambda: camera.status().reconnects >= 1 and camera.status().frames > 2)


def test_wait_tells_what_is_wrong(tmp_path):
    with make(tmp_path, stand_in="Missing") as camera, pytest.raises(ConfigError, match="has no attribute 'Missing'"):
        camera.wait()
    with make(tmp_path, stand_in="without_library") as camera:
        with pytest.raises(MissingDependencyError, match="pip install cv3"):
            camera.wait()
        starts = camera._watchdog.starts
        with pytest.raises(StaleDataError, match="not opened again"):
            camera.latest(LONG)
        assert starts == camera._watchdog.starts == 1
    source = UvcConfig("/dev/v4l/by-id/none", (HEIGHT, WIDTH))
    with ProcessCamera(CameraConfig("wrist", source, (HEIGHT, WIDTH))) as camera:
        wait_until(lambda: camera.status().last_error)
        with pytest.raises(CameraError, match=r"'wrist' .*instead of streaming: There is no device /dev/v4l/by-id/no"):
            camera.wait(0.0)


def test_closing_ends_a_process_that_is_being_opened_or_does_not_answer(tmp_path):
    camera = make(tmp_path)
    pid = wait_until(lambda: camera.status().pid)
    camera.close()
    assert not runs(pid)
    camera = make(tmp_path)
    pid = camera.wait().status().pid
    os.kill(pid, signal.SIGSTOP)
    camera.close()
    assert not runs(pid)
    assert rings_of(os.getpid()) == []


def test_the_processes_end_with_their_parent_even_when_that_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from helpers.process_camera import make\n"
        "here = Path(sys.argv[1])\n"
        "(here / 'other').mkdir()\n"
        "cameras = [make(here), make(here / 'other', {'hang_after': 2}, hang_s=60)]\n"
        "while any(camera.status().frames < 2 for camera in cameras): time.sleep(0.01)\n"
        "print(*(camera.status().pid for camera in cameras), flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(runs, pids))
        parent.kill()
    wait_until(lambda: not any(map(runs, pids)))
