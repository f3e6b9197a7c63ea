"""The arm in a process of its own: the same arm as seen from the session."""

import json
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.arm_process_helpers import NEARLY_ASLEEP, PATIENT, SLOW, Bench, command, follow, turned, until
from helpers.widowx_setup import clear

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import WX250S
from drivers.errors import PortError, PortLostError
from drivers.hosting.checks import Mode
from drivers.hosting.orphan import OrphanSettings
from drivers.hosting.shared_block import SharedBlock
from drivers.widowx.hosting import HostedWidowX
from drivers.widowx.process import ProcessWidowX
from drivers.widowx.setpoints import MotionLimits
from drivers.widowx.settings import ArmSettings, GripperSettings, GuardLimits
from robot.control.faults import FaultLatch
from trajectories.errors import ConfigError, DeviceError, SafetyError, StaleDataError


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_it_is_taken_over_where_it_is_moves_and_tells_of_itself(bench, caplog):
    before = bench.joints
    with bench.arm() as arm:
        assert arm.model is WX250S
        assert os.getsid(arm.pid) != os.getsid(0)  # Ctrl-C doesn't reach it
        os.kill(arm.pid, signal.SIGINT)
        os.kill(arm.pid, signal.SIGTERM)
        np.testing.assert_allclose(arm.read().joints, before, atol=0.005)
        first = arm.read().t_ns
        goal = NEARLY_ASLEEP + 0.1
        follow(arm, goal)
        np.testing.assert_allclose(bench.joints, goal, atol=0.01)
        state = arm.read()
        assert first < state.t_ns <= time.monotonic_ns()
        assert {a.dtype for a in (state.joints, state.velocities, state.efforts)} == {np.dtype(np.float64)}
        assert 0.0 <= state.gripper_width <= 0.1
        assert (arm.mode, arm.fault, arm.farewell) == (Mode.FOLLOW, None, "")
        report = until(lambda: arm.report() if arm.report().cycles > 5 else None)
        assert 0 < report.period_p50_s <= report.period_p99_s <= report.period_max_s
        assert report.late_p99_s <= report.late_max_s
        assert report.priority
        with pytest.raises(PortError, match=rf"running session \(process {os.getpid()}; .* own process is {arm.pid}\)"):
            ProcessWidowX.connect(bench.path)
        with caplog.at_level(logging.WARNING):
            arm.close()
        assert "TORQUE ON" in arm.farewell
        said = {record.message[:45]: record.levelname for record in caplog.records}  # logged there, heard here
        assert said["Arm closed. The arm is not in its sleep pose:"] == "WARNING"
        assert arm.report().cycles >= report.cycles
        for use in (arm.hold, lambda: arm.send(command(goal)), lambda: arm.sleep(), lambda: clear(arm)):
            with pytest.raises(PortLostError, match="closed; connect again"):
                use()
        with pytest.raises(StaleDataError, match="closed; connect again"):
            arm.read()
    assert all(bench.torques.values())


def test_every_servo_tells_how_it_is(bench):
    with bench.server.lock:
        bench.server.bus.servos[3].protection.temperature_c = 41.0
        bench.server.bus.servos[3].protection.cooling_s = 1e9
        bench.server.bus.supply_v = 11.5
    with bench.arm() as arm:
        until(lambda: arm.health()[3].temperature_c == 41)
        health = arm.health()
        assert list(health) == list(range(1, 10))
        shoulder, gripper = health[3], health[9]
        assert (shoulder.servo, shoulder.name, shoulder.torque, shoulder.errors) == (3, "shoulder_shadow", True, ())
        assert shoulder.voltage_v == pytest.approx(11.5)
        assert shoulder.t_ns <= time.monotonic_ns()
        assert shoulder.current_a == pytest.approx(shoulder.load * 2.3)
        assert gripper.current_a is None  # an XL430 measures load


def test_what_is_not_finite_never_leaves_the_session(bench):
    with bench.arm() as arm:
        orders = arm._process.block.orders
        for joints, width in ((np.full(6, np.nan), 0.02), (np.zeros(6), np.inf), (np.zeros(5), 0.02)):
            with pytest.raises(SafetyError, match="6 finite joints"):
                arm.send(command(joints, width))
        assert arm._process.block.orders == orders
        arm._process.block.order(command(np.full(6, np.nan)))  # even if it did
        cycles = arm.report().cycles
        until(lambda: arm.report().cycles > cycles + 2)
        assert arm.fault is None
        np.testing.assert_allclose(bench.joints, NEARLY_ASLEEP, atol=0.01)


def test_silence_of_the_session_makes_it_hold(bench):
    with bench.arm(motion=SLOW, command_timeout_s=0.3) as arm:
        arm.send(command(turned(0, 1.0)))
        until(lambda: arm.read().joints[0] > NEARLY_ASLEEP[0] + 0.02)
        until(lambda: not arm.read().velocities.any())
        assert arm.read().joints[0] < NEARLY_ASLEEP[0] + 0.3  # 0.3 s at 0.5 rad/s and the way to brake
        assert arm.mode is Mode.FOLLOW


def test_hold_stops_a_motion(bench):
    with bench.arm(motion=SLOW, command_timeout_s=60.0) as arm:
        arm.send(command(turned(0, 1.5)))
        until(lambda: arm.read().joints[0] > NEARLY_ASLEEP[0] + 0.02)
        arm.hold()
        until(lambda: not arm.read().velocities.any())
        assert arm.read().joints[0] < NEARLY_ASLEEP[0] + 1.4


def test_a_fault_latches_and_is_cleared_across_the_border(bench, caplog):
    goal = NEARLY_ASLEEP + 0.05
    with bench.arm() as arm, caplog.at_level(logging.INFO):
        with bench.server.lock:
            bench.server.bus.servos[2].protection.forced = HardwareError.OVERLOAD
        until(lambda: arm.mode is Mode.FAULT)
        with bench.server.lock:
            bench.server.bus.servos[2].protection.forced = HardwareError(0)
        assert "Servo 2 (shoulder) reports overload" in arm.fault
        with pytest.raises(SafetyError, match=r"holds and takes no commands. Servo 2"):
            arm.send(command(goal))
        with pytest.raises(SafetyError, match="takes no commands"):
            arm.sleep()
        arm.hold()
        until(lambda: "Arm fault: Servo 2" in caplog.text)
        assert arm.health()[2].errors in ((), ("overload",))
        with pytest.raises(SafetyError, match="gives a name"):
            clear(arm, " ")
        assert not bench.torques[2]
        clear(arm)
        assert (arm.fault, arm.mode) == (None, Mode.FOLLOW)
        assert bench.torques[2]
        follow(arm, goal)
        until(lambda: "Cleared by Ada" in caplog.text)


def test_the_session_sees_what_came_of_its_wish_when_it_is_answered(bench):
    """However long the next cycle takes."""
    block, go_on = SharedBlock.create(), threading.Event()
    bus, settings = DynamixelBus.on(bench.path, latency_s=0.1), ArmSettings(**PATIENT)
    arm = HostedWidowX(bus, WX250S, settings, block, "normal", FaultLatch())
    cycle = arm._loop.cycle

    def stalled_cycle():
        if arm.mode is Mode.FOLLOW:
            go_on.wait(20.0)
        cycle()

    try:
        with bench.server.lock:
            bench.server.bus.servos[2].protection.forced = HardwareError.OVERLOAD
        until(lambda: block.verdict()[0] is Mode.FAULT)
        with bench.server.lock:
            bench.server.bus.servos[2].protection.forced = HardwareError(0)
        arm._loop.cycle = stalled_cycle
        clear(arm)
        assert block.verdict() == (Mode.FOLLOW, ())
    finally:
        go_on.set()
        arm.close()


def test_close_folds_up_whatever_was_ordered_before(bench, caplog):
    with bench.arm(on_close="sleep") as arm, caplog.at_level(logging.INFO, "drivers.widowx.arm"):
        arm.send(command(NEARLY_ASLEEP + 0.2))
        arm.close()  # at once: the order is void
        said = {record.message: record.levelname for record in caplog.records}
        assert said["Arm closed. The arm lies in its sleep pose; torque is off."] == "INFO"
        assert "sleep pose; torque is off" in arm.farewell
        farewell = arm.farewell
        arm.close()
        assert arm.farewell == farewell
    np.testing.assert_allclose(bench.joints, WX250S.sleep, atol=0.02)
    assert not any(bench.torques.values())


def test_sleep_returns_when_it_sleeps_and_is_cancelled_by_a_hold(bench):
    with bench.arm(sleep_motion=SLOW) as arm, ThreadPoolExecutor() as threads:
        sleeping = threads.submit(arm.sleep)
        until(lambda: arm.mode is Mode.SLEEP)
        arm.hold()
        with pytest.raises(SafetyError, match="didn't reach its sleep pose"):
            sleeping.result()
        until(lambda: arm.mode is Mode.FOLLOW)
        arm.sleep()
        assert arm.mode is Mode.SLEEP
        np.testing.assert_allclose(bench.joints, WX250S.sleep, atol=0.02)
        assert all(bench.torques.values())


def test_what_keeps_the_process_from_taking_over_is_raised_here(bench):
    with pytest.raises(PortError, match="no port"):
        ProcessWidowX.connect("/dev/no-such-arm")
    with pytest.raises(ConfigError, match="aren't known; known are wx250s"):
        ProcessWidowX.connect(bench.path, "wx251s")
    with pytest.raises(DeviceError, match=r"Servo 7 .* expected XL430-W250 on the wx250. Choose the right arm"):
        ProcessWidowX.connect(bench.path, "wx250", settings=ArmSettings(**PATIENT))
    with bench.server.lock:
        bench.server.bus.faults.dead = {4}
    with pytest.raises(DeviceError, match="Servo 4 didn't answer"):
        ProcessWidowX.connect(bench.path, settings=ArmSettings(**PATIENT))


def test_settings_survive_the_way_into_the_process():
    settings = ArmSettings(
        rate_hz=50,
        motion=MotionLimits(1.0, 10.0),
        position_gains=(900, 10, 20),
        on_close="hold",
        guard=GuardLimits(load_levels=((0.5, 1.0),), missing_s=0.3),
        gripper=GripperSettings(pwm=300, motion=MotionLimits(1.0, 9.0)),
    )
    assert ArmSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_senseless_orphan_settings_are_refused():
    with pytest.raises(ConfigError, match="on_orphan must be hold or sleep, got 'drop'"):
        OrphanSettings("drop")
    with pytest.raises(ConfigError, match="orphan_s is 0"):
        OrphanSettings(orphan_s=0)
    assert OrphanSettings("sleep", 9.0).patience_s == 0.0
