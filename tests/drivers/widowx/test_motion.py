"""Taking over, following, holding, sleeping, closing: on a healthy arm."""

import numpy as np
import pytest
from helpers.widowx_setup import TICK, UP, Rig

from drivers.dynamixel.registers import rad_to_ticks
from drivers.dynamixel.servo_map import WX250S
from drivers.hosting.checks import Mode
from drivers.widowx import startup
from drivers.widowx.arm import WidowX
from drivers.widowx.setpoints import GoalWriter
from drivers.widowx.settings import GuardLimits
from robot.interfaces import Arm
from robot.rollout.environment import RobotEnv
from sim.virtual.bus_faults import BusFaults
from trajectories.errors import SafetyError, StaleDataError
from trajectories.types import RobotSpec

LIMITS = {p.servo: (p.min_position, p.max_position) for p in WX250S.leaders[:-1]} | {9: (1600, 2876)}


# -- taking over ----------------------------------------------------------------------------------------
def test_taking_over_moves_nothing():
    rig = Rig()
    for one in rig.servos.values():
        one.memory.set("goal_position", 2600)  # what somebody wanted before
    before = np.array(rig.motors.positions)
    rig.arm()
    rig.wait(0.5)
    np.testing.assert_allclose(rig.motors.positions, before, atol=1.01 * TICK)
    assert all(rig.torques.values())


def test_the_goal_is_written_before_the_torque():
    rig = Rig()
    rig.arm()
    on = [t for t, data in rig.port.sent if data[7] in (0x83, 0x03) and data[8:10] == b"\x40\x00"]
    assert on
    goals = rig.goals()
    assert {servo for t, servo, _ in goals if t <= on[0]} == {1, 2, 4, 6, 7, 8, 9}
    order = [i for i, (_, data) in enumerate(rig.port.sent) if data[7] in (0x83, 0x03) and data[8:10] == b"\x40\x00"]
    first_goal = [i for i, (_, data) in enumerate(rig.port.sent) if data[7] == 0x03 and data[8:10] == b"\x74\x00"]
    assert max(first_goal[:7]) < order[0]


def test_nothing_ever_switches_torque_off_while_the_arm_is_up():
    rig = Rig()
    arm = rig.arm()
    rig.drive(UP, seconds=0.3)
    arm.hold()
    rig.wait(0.2)
    offs = [data for _, data in rig.port.sent if data[7] == 0x03 and data[8:10] == b"\x40\x00" and data[10] == 0]
    assert offs == []


def test_an_arm_that_holds_already_keeps_its_goals_and_does_not_sag():
    rig = Rig()
    rig.arm()
    rig.drive(UP, seconds=0.3)
    goals = {servo: rig.get(servo, "goal_position") for servo in (1, 2, 4, 6, 7, 8)}
    rig.motors.blocked = {1}
    rig.motors.positions[1] -= 0.05  # sags under its weight
    rig.wait(0.05)
    rig.arm()
    rig.wait(0.1)
    assert {servo: rig.get(servo, "goal_position") for servo in goals} == goals


def test_repeated_holds_do_not_sink():
    rig = Rig()
    arm = rig.arm()
    rig.drive(UP, seconds=0.3)
    goal = rig.get(2, "goal_position")
    rig.motors.blocked = {1}
    rig.motors.positions[1] -= 0.05
    for _ in range(3):
        arm.hold()
        rig.wait(0.4)
    assert rig.get(2, "goal_position") == goal


def writes(rig, address):
    """(ns, servo, value) of every single write to a register of two or four bytes, or one."""
    return [
        (t, data[4], int.from_bytes(data[10:-2], "little"))
        for t, data in rig.port.sent
        if data[7] == 0x03 and int.from_bytes(data[8:10], "little") == address
    ]


def test_at_an_end_stop_the_goal_is_clipped_gently():
    rig = Rig(pose=(0, -1.885 - 0.02, 1.55, 0, 0.8, 0))
    rig.arm()
    assert rig.get(2, "goal_position") == 819
    on = next(t for t, data in rig.port.sent if data[7] == 0x83 and data[8:10] == b"\x40\x00")
    profiles = [(t, value) for t, servo, value in writes(rig, 112) if servo == 2]
    assert [value for t, value in profiles if t <= on][-1] == 10  # 0.24 rad/s
    assert [value for t, value in profiles if t > on + 250_000_000] == [131]
    rig.wait(0.2)
    assert rig.joints[1] == pytest.approx(-1.885, abs=2 * TICK)


def test_an_arm_far_beyond_its_limits_is_refused_without_torque():
    rig = Rig(pose=(0, -2.1, 1.55, 0, 0.8, 0))
    with pytest.raises(SafetyError, match=r"Servo 2 \(shoulder\) is 0.2\d rad beyond its limits.*by hand"):
        rig.arm()
    assert not any(rig.torques.values())


def test_a_shadow_that_missed_what_its_leader_was_told_is_told_itself():
    rig = Rig()
    rig.servos[3].memory.set("secondary_id", 255)  # hears nothing of its leader's
    rig.servos[3].memory.set("goal_position", 2600)
    bus = rig.bus()
    bus.identify(WX250S.servos)
    startup.take_over(bus, WX250S, GoalWriter(bus, WX250S, 0.3).limits)
    assert rig.get(3, "goal_position") == rig.get(2, "goal_position") != 2600
    assert all(rig.torques.values())


def test_ram_is_configured_on_every_servo():
    rig = Rig()
    rig.arm()
    for servo in range(1, 10):
        assert rig.get(servo, "profile_velocity") == 131
        assert rig.get(servo, "bus_watchdog") == 15
        assert rig.get(servo, "position_p_gain") == 800
        assert rig.get(servo, "goal_pwm") == (350 if servo == 9 else 885)


# -- following ------------------------------------------------------------------------------------------
def test_it_is_an_arm_and_reads_what_the_joints_do():
    rig = Rig()
    arm: Arm = rig.arm()
    rig.motors.outside = {1: 0.25, 5: -0.1}
    goal = (0.0, -0.5, 0.3, 0.4, 1.0, -0.2)
    rig.drive(goal, 0.03, seconds=1.5)
    state = arm.read()
    np.testing.assert_allclose(state.joints, goal, atol=2 * TICK)
    assert state.gripper_width == pytest.approx(0.03, abs=0.0005)
    # Two XM430 at a quarter of 4.1 N m; one XL430 at a tenth of 1.4.
    assert state.efforts[1] == pytest.approx(2 * 0.25 * 4.1, rel=0.05)
    assert state.efforts[5] == pytest.approx(-0.1 * 1.4, rel=0.1)
    assert 0 <= rig.now_ns() - state.t_ns < 15_000_000


def test_speed_and_acceleration_hold_on_the_bus():
    rig = Rig()
    rig.arm()
    rig.wait(0.05)
    rig.port.sent.clear()
    rng = np.random.default_rng(1)
    for _ in range(30):
        rig.drive(rng.uniform(-1.2, 1.2, 6), rng.uniform(0, 0.044), seconds=0.1)
    for servo in (1, 2, 4, 6, 7, 8):
        angles = np.array([ticks for _, s, ticks in rig.goals() if s == servo]) * TICK
        speeds = np.diff(angles) / 0.01
        assert np.abs(speeds).max() <= 2.5 + TICK / 0.01
        assert np.abs(speeds).max() > 1.5
        assert np.abs(np.diff(speeds)).max() <= 0.2 + 2.01 * TICK / 0.01


def test_ten_thousand_random_commands_never_leave_the_limits():
    """Out of range, not finite, huge: what reaches the bus is always legal."""
    rig = Rig()
    arm = rig.arm(health_every=50)
    rng = np.random.default_rng(0)
    scale = 10 ** rng.uniform(-1, 3, 10_000)
    refused = 0
    for i in range(10_000):
        joints = rng.normal(size=6) * scale[i]
        width = float(rng.normal() * 0.05)
        if i % 50 == 0:
            joints[rng.integers(6)] = rng.choice([np.nan, np.inf, -np.inf])
        if i % 77 == 0:
            width = float(rng.choice([np.nan, np.inf]))
        try:
            arm.send(rig.command(joints, width))
        except SafetyError:
            refused += 1
            assert not (np.isfinite(joints).all() and np.isfinite(width))
        if i % 10 == 0:
            rig.wait(0.02)
    assert refused == len({*range(0, 10_000, 50), *range(0, 10_000, 77)})
    goals = rig.goals()
    assert len(goals) > 10_000
    for _, servo, ticks in goals:
        low, high = LIMITS[servo]
        assert low <= ticks <= high
    assert arm.fault is None


@pytest.mark.parametrize("sign", [-1, 1])
def test_commands_beyond_the_limits_end_exactly_there(sign):
    rig = Rig()
    rig.arm()
    rig.drive([100.0 * sign] * 6, sign, seconds=2.5)
    for servo in (1, 2, 4, 6, 7, 8):
        assert rig.get(servo, "goal_position") == LIMITS[servo][sign > 0]
    assert rig.get(9, "goal_position") == pytest.approx((1802, 2875)[sign > 0], abs=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0])
def test_the_last_line_before_the_bus_refuses(bad):
    rig = Rig()
    bus = rig.bus()
    bus.identify(WX250S.servos)
    goals = GoalWriter(bus, WX250S, 0.3)
    heard = rig.virtual.heard
    with pytest.raises(SafetyError, match="shoulder"):
        goals.write([0, bad, 0, 0, 0, 0, 0.1])
    assert rig.virtual.heard == heard
    goals.write([0, 1.98, 0, 0, 0, 0, 0.1])
    assert rig.virtual.heard == heard + 1


def test_commands_of_the_wrong_shape_are_refused():
    rig = Rig()
    arm = rig.arm()
    with pytest.raises(SafetyError, match="6 finite joints"):
        arm.send(rig.command([0.0] * 5))


def test_without_new_commands_the_arm_brakes_and_holds():
    rig = Rig()
    arm = rig.arm()
    arm.send(rig.command((2.9, *UP[1:])))
    rig.wait(0.45)
    moving = rig.joints[0]
    rig.wait(0.4)
    stopped = rig.get(1, "goal_position")
    rig.wait(0.5)
    assert rig.get(1, "goal_position") == stopped
    assert stopped * TICK < rad_to_ticks(2.5) * TICK
    assert moving < rig.joints[0] < 2.0
    rig.drive((2.9, *UP[1:]), seconds=1.2)  # and goes on when told
    assert rig.joints[0] == pytest.approx(2.9, abs=2 * TICK)


def test_hold_stops_soon_and_cancels_the_command():
    rig = Rig()
    arm = rig.arm()
    rig.drive((2.9, *UP[1:]), seconds=0.4)
    here = rig.joints[0]
    arm.hold()
    rig.wait(0.5)
    assert rig.joints[0] - here < 0.35
    assert arm.read().velocities[0] == pytest.approx(0, abs=0.02)


def test_a_blocked_arm_that_is_told_to_hold_gives_in():
    rig = Rig()
    arm = rig.arm(guard=GuardLimits(load_levels=((1.0, 9.0),)))
    rig.motors.blocked = {0}
    arm.send(rig.command((0.9, *UP[1:])))
    rig.wait(0.4)
    arm.hold()
    rig.wait(0.5)
    assert rig.get(1, "goal_position") == pytest.approx(rad_to_ticks(UP[0]), abs=1)


def test_a_stale_state_is_refused():
    rig = Rig()
    arm = rig.arm()
    rig.wait(0.1)
    arm.read()
    rig.running = False
    rig.wait(0.2)
    with pytest.raises(StaleDataError, match="at most 100 ms"):
        arm.read()


# -- the gripper ----------------------------------------------------------------------------------------
def test_the_gripper_holds_what_it_meets_with_less_force():
    rig = Rig(width_rad=1.2)
    arm = rig.arm()
    rig.drive(UP, 0.044, seconds=0.3)
    arm.send(rig.command(UP, 0.0))
    meets = WX250S.linkage.angle(0.02)
    while rig.motors.positions[6] > meets:
        rig.drive(UP, 0.0, seconds=0.02)
    rig.motors.blocked = {6}
    rig.drive(UP, 0.0, seconds=0.06)
    assert rig.get(9, "goal_pwm") == 350
    rig.drive(UP, 0.0, seconds=3.0)
    assert rig.get(9, "goal_pwm") == 250
    state = arm.read()
    assert state.gripper_width == pytest.approx(0.02, abs=0.002)
    assert state.gripper_effort == pytest.approx(1.0, rel=0.02)  # all that it may use while holding, as in the twin
    assert rig.torques[9]
    assert arm.fault is None
    rig.motors.blocked = set()
    rig.drive(UP, 0.044, seconds=1.2)  # and lets go
    assert rig.get(9, "goal_pwm") == 350
    assert arm.read().gripper_width == pytest.approx(0.044, abs=0.001)


def test_when_the_object_slips_away_the_gripper_closes_on():
    rig = Rig(width_rad=0.8)
    arm = rig.arm()
    rig.motors.blocked = {6}
    rig.drive(UP, 0.0, seconds=1.0)
    assert rig.get(9, "goal_pwm") == 250
    rig.motors.blocked = set()
    rig.drive(UP, 0.0, seconds=1.0)
    assert rig.get(9, "goal_pwm") == 350
    assert arm.read().gripper_width == pytest.approx(0.0, abs=0.0005)


def test_an_empty_gripper_closes_at_its_speed_without_pressing():
    rig = Rig(width_rad=1.2)
    rig.arm()
    rig.port.sent.clear()
    rig.drive(UP, 0.0, seconds=1.5)
    angles = np.array([ticks for _, s, ticks in rig.goals() if s == 9]) * TICK
    assert np.abs(np.diff(angles)).max() <= 0.03 + TICK
    assert rig.get(9, "goal_pwm") == 350
    assert rig.get(9, "goal_position") == pytest.approx(1802, abs=2)


# -- sleeping and closing -------------------------------------------------------------------------------
def test_sleep_is_slow_and_ends_in_the_sleep_pose_with_torque():
    rig = Rig()
    arm = rig.arm()
    rig.port.sent.clear()
    arm.sleep()
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)
    assert all(rig.torques.values())
    angles = np.array([ticks for _, s, ticks in rig.goals() if s == 2]) * TICK
    assert np.abs(np.diff(angles)).max() <= 0.006 + TICK
    rig.drive(UP, seconds=1.5)
    np.testing.assert_allclose(rig.joints, UP, atol=2 * TICK)


def test_close_folds_up_before_it_switches_off():
    rig = Rig()
    arm = rig.arm()
    rig.wait(0.1)

    def watch():
        lifted = np.abs(rig.joints - WX250S.sleep).max() > 0.2
        assert all(rig.torques.values()) or not lifted

    rig.watch = watch
    arm.close()
    assert not any(rig.torques.values())
    assert "torque is off" in arm.farewell
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)
    arm.close()


def test_a_command_from_before_does_not_cancel_the_way_to_sleep():
    rig = Rig(pose=(0.1, -1.6, 1.4, 0, 0.8, 0))
    arm = rig.arm()
    arm.send(rig.command(UP))
    arm.close()
    assert "torque is off" in arm.farewell
    np.testing.assert_allclose(rig.joints, WX250S.sleep, atol=0.02)


def test_close_can_leave_the_arm_where_it_is():
    rig = Rig()
    arm = rig.arm(on_close="hold")
    rig.drive(UP, seconds=0.3)
    arm.close()
    assert "TORQUE ON" in arm.farewell
    rig.wait(2.0)
    assert all(rig.torques.values())
    assert rig.get(2, "bus_watchdog") == 0
    np.testing.assert_allclose(rig.joints, UP, atol=2 * TICK)


def test_an_arm_that_cannot_fold_up_is_not_dropped_by_close():
    rig = Rig()
    arm = rig.arm()
    rig.wait(0.1)
    rig.motors.blocked = {1}
    arm.close()
    assert all(rig.torques.values())
    assert "TORQUE ON" in arm.farewell


def test_something_else_cancels_the_way_to_sleep():
    rig = Rig()
    arm = rig.arm()
    count = 0

    def watch():
        nonlocal count
        count += 1
        if count == 30:
            arm.hold()

    rig.watch = watch
    with pytest.raises(SafetyError, match="didn't reach its sleep pose"):
        arm.sleep()
    assert arm.mode is Mode.FOLLOW


# -- all of it together ---------------------------------------------------------------------------------
def test_noise_on_the_line_does_not_disturb():
    rig = Rig(faults=BusFaults(damaged=0.01, dropped=0.003, seed=3))
    arm = rig.arm()
    goal = (0.0, -0.5, 0.3, 0.4, 1.0, -0.2)
    for part in np.linspace(0, 1, 150):
        rig.drive(np.array(UP) + part * (np.array(goal) - UP), 0.03, seconds=0.02)
    report = arm.report()
    assert report.crc_errors + report.bus_timeouts > 0
    assert report.incomplete > 0
    assert arm.fault is None
    rig.drive(goal, 0.03, seconds=0.3)
    np.testing.assert_allclose(arm.read().joints, goal, atol=3 * TICK)


def test_the_environment_drives_the_arm():
    rig = Rig(pose=(-0.0, -0.55, 0.55, 0, 1.5, 0), width_rad=1.0)
    arm = rig.arm()
    env = RobotEnv(arm, {}, rig, RobotSpec(cameras={}))
    rig.wait(0.1)
    env.go_home(np.random.default_rng(0))
    rig.wait(0.3)
    start = env.kinematics.forward(arm.read().joints).position
    for _ in range(4):
        env.apply(np.array([0, 0.5, 0, 0, 0, 0, 1], dtype=np.float32))
    rig.wait(0.3)
    moved = env.kinematics.forward(arm.read().joints).position - start
    assert moved[1] == pytest.approx(0.1, abs=0.002)


def test_the_loop_counts_what_it_does():
    rig = Rig()
    arm = rig.arm()
    rig.wait(1.0)
    report = arm.report()
    assert report.cycles == pytest.approx(100, abs=2)
    assert report.period_p50_s == pytest.approx(0.01)
    assert (report.missed, report.incomplete, report.bus_retries) == (0, 0, 0)
    assert set(report.as_dict()) >= {"period_p99_s", "work_p99_s"}
    assert isinstance(arm, WidowX)
