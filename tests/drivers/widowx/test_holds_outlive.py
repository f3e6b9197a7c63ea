"""What stands outlives the kill of every process, and nothing moves before exactly it is cleared. Real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.arm_process_helpers import NEARLY_ASLEEP, PATIENT, Bench, command, follow, kill, runs, until
from helpers.widowx_setup import clear

from drivers.dynamixel.messages import HardwareError
from drivers.hosting.checks import Mode
from drivers.hosting.record import record_of
from drivers.widowx.settings import ArmSettings
from robot.control.faults import Fault, read_record
from trajectories.errors import SafetyError

HOLD = Fault("hold1", "Ada said hold", "hold", "Ada")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def trip(bench, servo):
    """It protects itself, and what made it do so is over at once."""
    with bench.server.lock:
        bench.server.bus.servos[servo].protection.forced = HardwareError.OVERLOAD
    until(lambda: not bench.torques[servo])
    with bench.server.lock:
        bench.server.bus.servos[servo].protection.forced = HardwareError(0)


def goals(bench):
    return [bench.get(servo, "goal_position") for servo in range(1, 10)]


def refuses(bench, arm, match):
    before = goals(bench)
    with pytest.raises(SafetyError, match=match):
        arm.send(command(NEARLY_ASLEEP + 0.2))
    assert bench.stands()
    assert goals(bench) == before


def test_a_fault_outlives_the_kill_of_the_arms_process_and_of_its_session(bench):
    with bench.arm() as arm:
        trip(bench, 2)
        until(lambda: arm.mode is Mode.FAULT)
        stood = {fault.id for fault in arm.faults}
        kill(arm)
    with bench.server.lock:  # as after the power was off and on: the servo itself has forgotten
        bench.server.bus.servos[2].reboot(time.monotonic_ns())
    with bench.arm() as arm:
        assert {fault.id for fault in arm.faults} >= stood
        assert not bench.torques[2]
        refuses(bench, arm, "Servo 2")
        until(lambda: cleared(arm))
        assert read_record(record_of(bench.path)) == ()
        follow(arm, bench.joints + 0.05)


def cleared(arm):
    """A person clears what is seen, as often as something new is seen meanwhile."""
    try:
        clear(arm)
    except SafetyError:
        return False
    return not arm.faults


def test_a_hold_outlives_the_arms_process_when_only_the_end_of_that_is_cleared(bench):
    with bench.arm() as arm:
        follow(arm, NEARLY_ASLEEP + 0.05)
        arm.trip(HOLD)
        until(lambda: arm.mode is Mode.HOLD)
        kill(arm)
        ended, held = sorted(arm.faults, key=lambda fault: fault.kind)
        assert held == HOLD
        with pytest.raises(SafetyError, match="that was not named"):
            arm.clear("Ben", ["hold1"])
        arm.clear("Ben", [ended.id])
        assert arm.faults == (HOLD,)
        until(lambda: arm.mode is Mode.HOLD)
        refuses(bench, arm, "Ada said hold")
        with pytest.raises(SafetyError, match="Ada said hold"):
            arm.sleep()
        arm.clear("Ada", ["hold1"])
        follow(arm, NEARLY_ASLEEP)
    assert arm.farewell


def test_a_hold_that_stands_when_the_session_closes_stands_in_the_next_one(bench):
    with bench.arm(on_close="sleep") as arm:
        arm.trip(HOLD)
        until(lambda: arm.mode is Mode.HOLD)
    assert "HOLDS WITH TORQUE ON" in arm.farewell
    assert all(bench.torques.values())
    with bench.arm() as arm:
        assert arm.faults == (HOLD,)
        refuses(bench, arm, "Ada said hold")
        arm.clear("Ada", ["hold1"])
        follow(arm, NEARLY_ASLEEP + 0.05)


@pytest.mark.parametrize("also_the_arms_process", [False, True])
def test_a_fault_that_came_while_nobody_was_there_is_handed_over(bench, also_the_arms_process):
    settings = json.dumps(ArmSettings(**PATIENT).to_dict())
    session = [sys.executable, str(HELPERS / "killable_session.py"), bench.path, settings, '{"orphan_s": 600}']
    with subprocess.Popen(session, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as first:
        pid = int(first.stdout.readline())
        first.kill()
    trip(bench, 7)
    until(lambda: read_record(record_of(bench.path)))
    if also_the_arms_process:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs(pid))
    with bench.server.lock:
        bench.server.bus.servos[7].reboot(time.monotonic_ns())
    with bench.arm() as arm:
        assert any("Servo 7 (wrist_angle)" in fault.reason for fault in arm.faults)
        refuses(bench, arm, "Servo 7")
        np.testing.assert_allclose(bench.joints[:5], NEARLY_ASLEEP[:5], atol=0.05)
        until(lambda: cleared(arm))


def test_one_device_has_one_record_by_whichever_name(tmp_path, monkeypatch, bench):
    assert record_of(bench.path) == tmp_path / "arm.faults"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    device = tmp_path / "ttyUSB0"
    device.touch()
    link = tmp_path / "link"
    link.symlink_to(device)
    assert record_of(str(link)) == record_of(str(device))
    assert record_of(str(device)).parent == tmp_path / "state" / "regrasp" / "arms"
    assert record_of("some:factory {}") != record_of("another:factory {}")
