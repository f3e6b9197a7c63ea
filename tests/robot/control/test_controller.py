"""The controller's grid and motions on a fake arm, and what happens when the policy falls silent on a driver."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.kinematic_arm import SPEC, START, KinematicArm, ManualClock, PatternCamera, action, make_env

from robot.control.controller import Controller, stopped_short
from robot.rollout.environment import RobotEnv
from trajectories.errors import ConfigError, SafetyError, StaleDataError

MS = 1_000_000
GOAL = START + 0.1


def make():
    clock = ManualClock()
    arm = KinematicArm(clock)
    return Controller(arm, clock, 5.0, 50.0, lambda: None), arm, clock


def test_steps_lie_on_the_grid_that_the_first_one_lays():
    controller, _, clock = make()
    begin = clock.now
    for late_ms, start_ms, end_ms, missed in (
        (0, 0, 200, 0), (0, 200, 400, 0), (100, 500, 600, 0), (101, 800, 1000, 1), (450, 1600, 1800, 3),
    ):  # fmt: skip
        clock.now += late_ms * MS
        step = controller.begin()
        assert (step.start_ns - begin, step.end_ns - begin, step.missed) == (start_ms * MS, end_ms * MS, missed)
        assert step.duration_s == pytest.approx((end_ms - start_ms) / 1000)
        clock.now = step.end_ns
    assert controller.overruns == 4
    controller.restart()
    clock.now += 77 * MS
    assert controller.begin().start_ns == clock.now
    assert controller.overruns == 4


def test_an_action_that_comes_early_waits_for_its_time():
    controller, _, clock = make()
    begin = clock.now
    controller.begin()
    assert controller.begin().start_ns == begin + 200 * MS


@pytest.mark.parametrize(("late_ms", "count"), [(0, 10), (100, 5), (99, 5)])
def test_a_motion_is_a_straight_line_of_substeps_that_ends_with_the_step(late_ms, count):
    controller, arm, clock = make()
    clock.now = controller.begin().end_ns + late_ms * MS
    step = controller.begin()
    last = controller.move(step, START, GOAL, 0.02, ("z",))
    assert clock.now == step.end_ns
    assert len(arm.sent) == count
    parts = np.array([command.joints for command in arm.sent])
    np.testing.assert_allclose(parts, START + 0.1 * np.arange(1, count + 1)[:, None] / count, atol=1e-12)
    np.testing.assert_array_equal(parts[-1], GOAL)
    assert last is arm.sent[-1]
    assert {(command.gripper_width, command.clipped) for command in arm.sent} == {(0.02, ("z",))}


@pytest.mark.parametrize(("control", "substeps"), [(0, 50), (60, 50), (5, float("inf")), (float("nan"), 50)])
def test_rates_out_of_order_are_refused(control, substeps):
    with pytest.raises(ConfigError, match="substeps"):
        Controller(KinematicArm(ManualClock()), ManualClock(), control, substeps, lambda: None)


def test_an_arm_stopped_short_stands_still_far_from_its_target():
    arm = KinematicArm(ManualClock())
    still = arm.read()
    assert not stopped_short(START + 0.19, still)
    assert stopped_short(START - 0.21, still)
    still.velocities[2] = 0.06
    assert not stopped_short(START - 0.21, still)


class SlowFingers(KinematicArm):
    """Its fingers close at 80 mm/s, no further than what they meet; its states come at 100 Hz."""

    closes_from, blocked_at = None, 0.0

    def send(self, command):
        self.sent.append(command)
        if command.gripper_width < 0.044 and self.closes_from is None:
            self.closes_from = self.clock.now

    def read(self):
        t_ns = self.clock.now // (10 * MS) * (10 * MS)
        way = 0.0 if self.closes_from is None else 0.08 * max(t_ns - self.closes_from, 0) / 1e9
        self.width = max(0.044 - way, self.blocked_at)
        return replace(super().read(), t_ns=t_ns)


@pytest.mark.parametrize(("blocked_at", "lasts_ms"), [(0.0, 560), (0.020, 360), (0.043, 260)])
def test_a_step_that_closes_the_gripper_lasts_until_the_fingers_stand(blocked_at, lasts_ms):
    clock = ManualClock()
    arm = SlowFingers(clock)
    env = RobotEnv(arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC)
    env.apply(action())
    begin, arm.blocked_at = clock.now, blocked_at
    env.apply(action(0.0, 0.0, 0.5, gripper=-1))
    assert clock.now - begin == pytest.approx(lasts_ms * MS, abs=40 * MS)
    assert arm.width == pytest.approx(blocked_at, abs=6e-4)
    assert np.ptp([command.joints for command in arm.sent[20:]], axis=0).max(initial=0.0) == 0.0  # it held meanwhile
    closed = clock.now
    env.apply(action(0.0, 0.0, 0.5, gripper=-1))
    assert clock.now - closed == 200 * MS
    assert env.overruns == 0


def test_fingers_that_never_stand_are_waited_for_no_longer_than_they_need():
    controller, arm, clock = make()
    widths = iter(range(1000))
    arm.read = lambda: replace(KinematicArm.read(arm), gripper_width=0.001 * next(widths) + 1.0)
    begin = clock.now
    controller.settle(START, 0.044, lambda state: False, lambda state: START)
    assert clock.now - begin == 800 * MS
    assert {command.gripper_width for command in arm.sent} == {0.044}


def test_an_arm_that_pushes_too_hard_during_the_wait_gives_way():
    clock = ManualClock()
    arm = SlowFingers(clock)
    env = RobotEnv(arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC)
    env.apply(action())
    arm.efforts[1] = 8.0  # above 7.8
    env.apply(action(0.0, 0.0, -0.5, gripper=-1))
    assert np.abs(arm.sent[19].joints - START).max() > 0.01
    np.testing.assert_allclose(arm.sent[24].joints, arm.sent[19].joints)  # not for 0.1 s
    np.testing.assert_allclose(arm.sent[-1].joints, START)
    np.testing.assert_allclose(env.target.joints, START)
    assert not env.target.gripper_open


def test_a_fault_during_the_wait_holds_the_arm():
    clock = ManualClock()
    arm = SlowFingers(clock)
    env = RobotEnv(arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC)
    env.apply(action())
    normal = arm.send

    def send(command):
        if len(arm.sent) == 25:
            arm.fault = "Servo 9 (gripper) reports overload."
        normal(command)
        if arm.fault is not None:
            raise SafetyError("the arm refuses")

    arm.send = send
    with pytest.raises(SafetyError, match="refuses"):
        env.apply(action(gripper=-1))
    assert arm.holds == 1
    assert env.safety.fault is not None


def test_a_stop_from_elsewhere_ends_the_motion_under_way_with_its_next_command():
    env, arm, _ = make_env()
    normal = arm.send

    def send(command):
        normal(command)
        if len(arm.sent) == 4:
            env.stop("Ada said hold")

    arm.send = send
    with pytest.raises(SafetyError, match="Ada said hold"):
        env.apply(action(0.5))
    assert len(arm.sent) == 4
    assert arm.holds == 1
    with pytest.raises(SafetyError, match="Ada said hold"):
        env.apply(action(0.5))
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    env.apply(action(0.5))
    assert len(arm.sent) == 14


class SlowArm(KinematicArm):
    """Like a driver: it heads for the newest command at its own speed, and brakes when none comes any more."""

    speed, timeout_ns = 0.25, 500 * MS

    def __init__(self, clock):
        super().__init__(clock)
        self.position, self.goal, self.heard = self.joints.copy(), self.joints.copy(), self.clock.now
        self.then = self.clock.now

    def live(self):
        """Move on to the present; the driver stops `timeout_ns` after the last command."""
        until = min(self.clock.now, self.heard + self.timeout_ns)
        reach = self.speed * max(until - self.then, 0) / 1e9
        self.moving = self.clock.now <= until and reach > 0 and bool(np.abs(self.goal - self.position).max() > reach)
        self.position = self.position + np.clip(self.goal - self.position, -reach, reach)
        self.then = self.clock.now

    def send(self, command):
        self.live()
        self.sent.append(command)
        self.goal, self.heard, self.width = command.joints.copy(), self.clock.now, command.gripper_width

    def read(self):
        self.live()
        self.joints = self.position.copy()
        state = super().read()
        state.velocities[:] = self.speed if self.moving else 0.0
        return state


def slow_env():
    clock = ManualClock()
    arm = SlowArm(clock)
    return RobotEnv(arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC), arm, clock


def test_after_a_silence_the_motion_starts_from_where_the_driver_braked():
    env, arm, clock = slow_env()
    for _ in range(3):
        env.apply(action(0.0, 0.9, 0.0, gripper=-1))
    wanted = env.target.joints
    clock.now += 1500 * MS  # the policy thinks; the driver gives up half a second after the last command
    held = arm.read().joints
    assert np.abs(wanted - held).max() > 0.2
    env.apply(action(gripper=-1))
    assert env.overruns == 8
    np.testing.assert_allclose(env.target.joints, held, atol=1e-6)  # not the old target, 3 cm away
    np.testing.assert_allclose(arm.sent[-10].joints, held, atol=1e-6)
    assert arm.sent[-1].gripper_width == 0.0  # an object stays held
    clock.now += 1000 * MS
    np.testing.assert_allclose(arm.read().joints, held, atol=1e-6)


def test_after_a_silence_an_arm_that_arrived_goes_on_from_its_target():
    env, arm, clock = slow_env()
    arm.speed = 3.0
    env.apply(action(0.0, 0.9, 0.0))
    target = env.target
    clock.now += 1500 * MS
    np.testing.assert_allclose(arm.read().joints, target.joints, atol=1e-12)
    env.apply(action())
    assert env.overruns == 8
    np.testing.assert_array_equal(env.target.joints, target.joints)


def test_after_a_short_silence_an_arm_on_its_way_goes_on_to_its_target():
    env, arm, clock = slow_env()
    for _ in range(3):
        env.apply(action(0.0, 0.9, 0.0))
    target = env.target
    clock.now += 150 * MS
    env.apply(action())
    assert env.overruns == 1
    assert np.abs(target.joints - arm.read().joints).max() > 0.1
    np.testing.assert_array_equal(env.target.joints, target.joints)


def test_the_arms_own_fault_is_the_robots_and_one_word_of_a_person_clears_both():
    env, arm, _ = make_env()
    env.apply(action(0.2))
    arm.fault = "servo 4 is overloaded"
    assert env.fault == "servo 4 is overloaded"
    with pytest.raises(SafetyError, match="overloaded"):
        env.apply(action(0.2))
    assert arm.holds == 1
    assert env.safety.fault == "servo 4 is overloaded"
    with pytest.raises(SafetyError, match="name"):
        env.clear_faults(" ", [fault.id for fault in env.faults])
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    assert arm.cleared_by == "Ada"
    assert env.fault is None
    np.testing.assert_allclose(env.target.joints, arm.joints)
    env.apply(action(0.2))


def test_an_arm_without_a_fault_is_not_cleared():
    env, arm, _ = make_env()
    env.safety.trip("a person said so")
    assert env.fault == "a person said so"
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    assert arm.cleared_by is None
    assert env.fault is None


def test_an_arm_whose_cause_is_not_gone_stays_faulty():
    env, arm, _ = make_env()

    def clear(person):
        raise SafetyError("servo 4 is still hot")

    arm.fault, arm.clear = "servo 4 is hot", clear
    env.safety.trip("servo 4 is hot")
    with pytest.raises(SafetyError, match="still hot"):
        env.clear_faults("Ada", [fault.id for fault in env.faults])
    assert env.safety.fault is not None


@pytest.mark.parametrize("broken", [np.full(6, np.nan), START + 9.0])
def test_an_impossible_measurement_latches_and_holds_from_the_first_step_on(broken):
    env, arm, _ = make_env()
    arm.joints = broken
    with pytest.raises(SafetyError):
        env.observe()
    with pytest.raises(SafetyError, match="clear it by name"):
        env.apply(action(0.1))
    assert arm.holds == 1
    assert arm.sent == []
    arm.joints = START.copy()
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    env.apply(action(0.1))


def test_a_stale_joint_state_holds_the_arm():
    env, arm, _ = make_env()
    env.apply(action(0.1))
    arm.age_ns = 300 * MS
    with pytest.raises(StaleDataError):
        env.apply(action(0.1))
    assert arm.holds == 1
    assert env.fault is None
