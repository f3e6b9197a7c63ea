"""The arm's process is killed: the servos hold, people are told, a new process takes over where the arm is."""

import logging
import os
import signal

import numpy as np
import pytest
from helpers.arm_process_helpers import NEARLY_ASLEEP, Bench, command, follow, kill, runs, turned, until
from helpers.widowx_setup import clear

from drivers.dynamixel.messages import HardwareError
from drivers.errors import PortLostError
from drivers.hosting import process_arm
from drivers.hosting.checks import Mode
from trajectories.errors import SafetyError, StaleDataError


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_a_killed_process_is_told_of_and_replaced_on_a_persons_word(bench, caplog):
    goal = NEARLY_ASLEEP + 0.1
    with bench.arm() as arm:
        follow(arm, goal)
        until(lambda: arm.report().cycles > 3)
        pid = arm.pid
        kill(arm)
        for use in (lambda: arm.send(command(goal)), arm.hold, arm.sleep):
            with pytest.raises(PortLostError, match=r"code -9\. The servos stop by themselves and hold.*clear this"):
                use()
        with pytest.raises(StaleDataError, match=r"no joint state\. The arm's process ended with code -9"):
            arm.read()
        assert arm.mode is Mode.LOST
        assert "code -9" in arm.fault
        assert arm.report().cycles > 3  # the last that is known
        assert all(bench.torques.values())
        with pytest.raises(SafetyError, match="gives a name"):
            clear(arm, "")
        assert not runs(pid)
        stood = bench.joints
        with caplog.at_level(logging.WARNING):
            clear(arm)
        assert "on the word of Ada" in caplog.text
        assert arm.pid != pid
        assert (arm.fault, arm.mode) == (None, Mode.FOLLOW)
        np.testing.assert_allclose(bench.joints, stood, atol=0.02)
        follow(arm, goal - 0.05)


def test_the_watchdogs_stop_a_motion_of_a_killed_process_and_a_fault_is_cleared_with_it(bench):
    with bench.arm(watchdog_units=25, profile_velocity=10) as arm:  # the servos themselves move at 0.24 rad/s
        arm.send(command(turned(5, 2.0)))
        until(lambda: arm.read().joints[5] > NEARLY_ASLEEP[5] + 0.02)
        kill(arm)
        until(lambda: bench.get(8, "bus_watchdog") == -1)  # it tripped
        stood = bench.joints
        with bench.server.lock:
            bench.server.bus.servos[1].protection.forced = HardwareError.OVERLOAD
        until(lambda: not bench.torques[1])
        with bench.server.lock:
            bench.server.bus.servos[1].protection.forced = HardwareError(0)
        clear(arm)
        assert "Servo 1 (waist) reports overload" in arm.fault  # seen by the new process only, so nobody named it
        assert not bench.torques[1]
        until(lambda: "Servo 2 (shoulder) stopped by its bus watchdog" in arm.fault)
        clear(arm)
        assert arm.fault is None
        assert all(bench.torques.values())
        np.testing.assert_allclose(bench.joints, stood, atol=0.02)
        assert bench.joints[5] < NEARLY_ASLEEP[5] + 1.0


def test_a_process_that_hangs_is_replaced(bench, monkeypatch):
    monkeypatch.setattr(process_arm, "JOB_TIMEOUT_S", 0.3)
    with bench.arm(max_age_s=0.4) as arm:
        pid = arm.pid
        os.kill(pid, signal.SIGSTOP)

        def stale():
            try:
                arm.read()
            except StaleDataError as error:
                return str(error)
            return ""

        assert "starved of processor time" in until(stale)
        until(lambda: process_arm.time.monotonic_ns() - arm._process.block.published().beat_ns > 0.6e9)
        monkeypatch.undo()
        monkeypatch.setattr(process_arm, "JOB_TIMEOUT_S", 0.5)
        clear(arm)
        assert not runs(pid)
        assert arm.pid != pid
        until(lambda: not stale())


def test_closing_without_its_process_says_what_the_arm_does(bench):
    with bench.arm() as arm:
        kill(arm)
        arm.close()
        assert "code -9" in arm.farewell
        assert "TORQUE ON" in arm.farewell
    assert all(bench.torques.values())
