"""The loop in its own thread, on a pseudo-terminal in real time. Nothing here depends on how fast the machine is."""

import time

import numpy as np
import pytest
from helpers.widowx_setup import UP, clear

from drivers.errors import PortError, PortLostError
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.motors import FirstOrderMotors
from sim.virtual.pty import PtyServer
from trajectories.errors import StaleDataError
from trajectories.types import Command

PATIENT = ArmSettings(rate_hz=50, watchdog_units=127, max_age_s=2.0, latency_s=0.1, on_close="hold")


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path):
    now = time.monotonic_ns()
    bus = VirtualBus(arm_servos(), FirstOrderMotors((*UP, 0.5), now), now_ns=now)
    with PtyServer(bus, tmp_path / "arm") as server:
        yield server


def test_connect_follow_replug_and_close(server):
    arm = WidowX.connect(server.path, settings=PATIENT)
    goal = np.array(UP) + 0.1

    def arrived():
        arm.send(Command(goal, 0.02, time.monotonic_ns()))
        return np.abs(arm.read().joints - goal).max() < 0.01

    until(arrived)
    assert arm.report().cycles > 5
    server.unplug()
    until(lambda: arm.mode.value == "lost")
    server.plug()
    until(lambda: "is back" in (arm.fault or ""))
    clear(arm)
    goal -= 0.05
    until(arrived)
    arm.close()
    assert "TORQUE ON" in arm.farewell
    assert all(one.torque for one in server.bus.servos.values())
    assert arm._thread is not None
    assert not arm._thread.is_alive()


def test_a_port_that_is_not_there():
    with pytest.raises(PortError, match="no port"):
        WidowX.connect("/dev/no-such-arm")


def test_a_loop_that_ends_says_so(server, monkeypatch):
    arm = WidowX.connect(server.path, settings=ArmSettings(rate_hz=50, max_age_s=0.2, latency_s=0.1, on_close="hold"))
    monkeypatch.setattr(arm._loop, "cycle", lambda: 1 / 0)
    until(lambda: arm.fault is not None)
    assert "control loop ended: ZeroDivisionError" in arm.fault
    with pytest.raises(PortLostError, match="connect again"):
        arm.send(Command(np.array(UP), 0.02, 0))

    def stale():
        try:
            arm.read()
        except StaleDataError as error:
            return "control loop ended" in str(error)
        return False

    until(stale)
    arm.close()
    assert all(one.torque for one in server.bus.servos.values())
