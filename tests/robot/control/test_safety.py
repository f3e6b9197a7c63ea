"""The safety filter: whatever is proposed, what leaves it is finite, in the box, in the limits and slow."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.kinematic_arm import START, action
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot.arms.wx250s import WX250S
from robot.control.collision import Collision
from robot.control.kinematics import Kinematics
from robot.control.pose import Pose, multiply, rows_from_rpy
from robot.control.poses import SLEEP_JOINTS
from robot.control.safety import SafetyFilter, SafetyLimits, Target
from robot.interfaces import ArmState
from trajectories.errors import ConfigError, SafetyError
from trajectories.types import RobotSpec

SCALE = RobotSpec().action_scale
LIMITS = SafetyLimits()
PERIOD = 0.2


def state_at(joints, efforts=None) -> ArmState:
    efforts = np.zeros(6) if efforts is None else np.asarray(efforts, dtype=float)
    return ArmState(np.asarray(joints, dtype=float), np.zeros(6), efforts, 0.044, 0.0, 0)


def target_at(joints) -> Target:
    joints = np.asarray(joints, dtype=float)
    return Target(Kinematics().forward(joints), joints, True)


def make_filter(limits=LIMITS) -> SafetyFilter:
    return SafetyFilter(WX250S, limits, SCALE)


def composed(pose: Pose, executed) -> tuple[np.ndarray, np.ndarray]:
    """Position and rotation that an executed action leads to, by the convention's own definition."""
    position = pose.position + 0.05 * executed[:3]
    rotation = np.array(multiply(rows_from_rpy(0.25 * executed[3:6]), rows_from_rpy(pose.rpy)))
    return position, rotation


def require_safe(old: Target, checked, limits=LIMITS, period=PERIOD, in_box=True) -> None:
    new = checked.target
    assert checked.executed.dtype == np.float32
    assert checked.executed.shape == (7,)
    assert np.abs(checked.executed).max() <= 1.0
    assert checked.executed[6] in (-1.0, 1.0)
    assert np.isfinite(new.joints).all()
    assert (new.joints >= np.array(limits.joint_lower)).all()
    assert (new.joints <= np.array(limits.joint_upper)).all()
    assert np.abs(new.joints - old.joints).max() <= limits.max_joint_speed * period + 1e-9
    assert checked.gripper_width == (0.044 if checked.executed[6] > 0 else 0.0)
    if in_box:
        assert (new.pose.position >= np.array(limits.position_lower) - 1e-9).all()
        assert (new.pose.position <= np.array(limits.position_upper) + 1e-9).all()
        assert (new.pose.rpy >= np.array(limits.rpy_lower) - 1e-9).all()
        assert (new.pose.rpy <= np.array(limits.rpy_upper) + 1e-9).all()
    reached = Kinematics().forward(new.joints)
    np.testing.assert_allclose(reached.position, new.pose.position, atol=1e-9)
    position, rotation = composed(old.pose, checked.executed.astype(float))
    np.testing.assert_allclose(position, new.pose.position, atol=1e-7)
    np.testing.assert_allclose(rotation, rows_from_rpy(new.pose.rpy), atol=2e-6)


def test_an_action_inside_all_limits_is_executed_as_proposed():
    proposed = action(0.2, -0.4, -0.3, 0.1, -0.2, 0.5, gripper=0.3)
    checked = make_filter().check(proposed, target_at(START), state_at(START), PERIOD)
    assert checked.clipped == ()
    np.testing.assert_allclose(checked.executed[:6], proposed[:6], atol=1e-6)
    np.testing.assert_allclose(checked.target.pose.position, [0.27, -0.02, 0.125], atol=1e-9)
    assert checked.executed[6] == 1.0


def test_rotation_is_about_the_tip_with_world_axes():
    safe = make_filter()
    target = safe.check(action(0, 0, 0, 0, 0, 1), target_at(START), state_at(START), PERIOD).target
    turned = safe.check(action(0, 0, 0, 0.4, 0, 0), target, state_at(START), PERIOD).target
    # 0.1 rad about the world's x after 0.25 rad of yaw, not the other way round
    want = multiply(rows_from_rpy((0.1, 0, 0)), rows_from_rpy((0, 0, 0.25)))
    np.testing.assert_allclose(rows_from_rpy(turned.pose.rpy), want, atol=1e-7)
    np.testing.assert_allclose(turned.pose.position, [0.26, 0.0, 0.14], atol=1e-9)


def test_the_box_stops_the_target_and_the_executed_action_says_how_far_it_went():
    target = target_at(Kinematics().inverse(Pose.of((0.37, 0.0, 0.022)), START))
    checked = make_filter().check(action(1, 0, -1), target, state_at(target.joints), PERIOD)
    assert set(checked.clipped) == {"x", "z"}
    np.testing.assert_allclose(checked.target.pose.position, [0.38, 0.0, 0.012], atol=1e-12)
    np.testing.assert_allclose(checked.executed[:3], [0.2, 0.0, -0.2], atol=1e-6)


def test_fast_joints_shorten_the_step_in_proportion():
    limits = replace(LIMITS, max_joint_speed=0.5)
    checked = make_filter(limits).check(action(0, 1, 0), target_at(START), state_at(START), PERIOD)
    assert checked.clipped == ("speed",)
    assert 0.3 < checked.executed[1] < 0.99
    assert np.abs(checked.target.joints - START).max() <= 0.1 + 1e-12
    require_safe(target_at(START), checked, limits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(7))
def test_a_number_that_is_not_finite_makes_the_arm_hold_and_keeps_the_gripper(bad, place):
    safe, target = make_filter(), replace(target_at(START), gripper_open=False)
    proposed = action(1, 1, 1, 1, 1, 1, gripper=1)
    proposed[place] = bad
    checked = safe.check(proposed, target, state_at(START), PERIOD)
    assert checked.clipped == ("non-finite",)
    np.testing.assert_array_equal(checked.executed, [0, 0, 0, 0, 0, 0, -1])
    assert checked.target == target
    assert safe.nonfinite_actions == 1


def test_wrong_shapes_hold_too():
    checked = make_filter().check(np.ones(3, np.float32), target_at(START), state_at(START), PERIOD)
    assert not checked.executed[:6].any()


def test_ten_thousand_random_actions_never_leave_the_limits():
    rng = np.random.default_rng(0)
    actions = rng.choice([0.1, 1.0, 1.0, 10.0, 1e30], (10_000, 1)) * rng.uniform(-1, 1, (10_000, 7))
    actions = actions.astype(np.float32)
    broken = rng.random(10_000) < 0.03
    actions[broken, rng.integers(0, 7, broken.sum())] = rng.choice([np.nan, np.inf, -np.inf], broken.sum())
    safe, target = make_filter(), target_at(START)
    lower = np.array((*LIMITS.position_lower, *LIMITS.rpy_lower)) - 1e-9
    upper = np.array((*LIMITS.position_upper, *LIMITS.rpy_upper)) + 1e-9
    joint_lower, joint_upper = np.array(LIMITS.joint_lower), np.array(LIMITS.joint_upper)
    joints = np.empty((len(actions) + 1, 6))
    poses, executed = np.empty((len(actions), 6)), np.empty((len(actions), 7))
    joints[0] = START
    state = state_at(START)
    for i, proposed in enumerate(actions):
        checked = safe.check(proposed, target, replace(state, joints=target.joints), PERIOD)
        if i % 250 == 0:
            require_safe(target, checked)
        target = checked.target
        joints[i + 1], executed[i] = target.joints, checked.executed
        poses[i, :3], poses[i, 3:] = target.pose.position, target.pose.rpy
    assert safe.nonfinite_actions == broken.sum()
    assert np.isfinite(joints).all()
    assert np.isfinite(executed).all()
    assert (np.abs(executed) <= 1).all()
    assert ((joints >= joint_lower) & (joints <= joint_upper)).all()
    assert np.abs(np.diff(joints, axis=0)).max() <= LIMITS.max_joint_speed * PERIOD + 1e-9
    assert ((poses >= lower) & (poses <= upper)).all()
    spread = poses[:, :3].max(axis=0) - poses[:, :3].min(axis=0)
    assert (spread > 0.9 * np.subtract(LIMITS.position_upper, LIMITS.position_lower)).all()  # it did move


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float32, 7, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    st.integers(0, 2**32 - 1),
)
def test_any_action_from_any_pose_is_safe(proposed, seed):
    joints = np.random.default_rng(seed).uniform(
        WX250S.kinematics(LIMITS).lower, WX250S.kinematics(LIMITS).upper
    )  # most are far outside the box
    target = target_at(joints)
    checked = make_filter().check(proposed, target, state_at(joints), PERIOD)
    require_safe(target, checked, in_box=False)


def test_from_the_sleep_pose_the_target_walks_into_the_box_in_safe_steps():
    safe, target = make_filter(), target_at(SLEEP_JOINTS)
    for _ in range(60):
        checked = safe.check(action(), target, state_at(target.joints), PERIOD)
        require_safe(target, checked, in_box=False)
        target = checked.target
    require_safe(target, safe.check(action(), target, state_at(target.joints), PERIOD))


def test_a_blocked_arm_does_not_wind_its_target_up_and_can_back_off():
    safe, target = make_filter(), target_at(START)
    for _ in range(40):
        target = safe.check(action(0, 1, 0), target, state_at(START), PERIOD).target
    lag = np.abs(target.joints - START).max()
    assert lag <= LIMITS.max_joint_lag + LIMITS.max_joint_speed * PERIOD
    held = safe.check(action(0, 1, 0), target, state_at(START), PERIOD)
    assert "lag" in held.clipped
    assert not held.executed[:6].any()
    back = safe.check(action(0, -1, 0), target, state_at(START), PERIOD)
    assert back.executed[1] == pytest.approx(-1.0)


def test_lasting_effort_latches_a_fault_until_a_person_clears_it():
    safe, target = make_filter(), target_at(START)
    heavy = state_at(START, [0, -8.0, 0, 0, 0, 0])
    for _ in range(LIMITS.effort_fault_steps - 1):
        safe.check(action(), target, heavy, PERIOD)
    with pytest.raises(SafetyError, match=r"shoulder pushed with -8.00 N m"):
        safe.check(action(), target, heavy, PERIOD)
    with pytest.raises(SafetyError, match="clear it by name"):
        safe.check(action(), target, state_at(START), PERIOD)  # latched though the load is gone
    with pytest.raises(SafetyError, match="name"):
        safe.clear("  ", [fault.id for fault in safe.faults.standing])
    safe.clear("Ada", [fault.id for fault in safe.faults.standing])
    assert safe.check(action(0.1), target, state_at(START), PERIOD).executed[0] == pytest.approx(0.1)


def test_an_arm_that_pushes_yields_to_where_it_is_and_says_so():
    safe, target = make_filter(), target_at(START)
    target = safe.check(action(0, 1, 0), target, state_at(START), PERIOD).target
    pushing = state_at(START, [4.0, 0, 0, 0, 0, 0])  # blocked at the start while the target is 5 cm away
    for _ in range(LIMITS.effort_yield_steps - 1):
        checked = safe.check(action(0, 0.1, 0), target, pushing, PERIOD)
        assert checked.executed[1] == pytest.approx(0.1)
        target = checked.target
    for _ in range(2):
        yielded = safe.check(action(0, 0.1, 0), target, pushing, PERIOD)
        require_safe(target, yielded)
        assert "effort" in yielded.clipped
        target = yielded.target
    np.testing.assert_allclose(target.joints, START, atol=1e-9)
    relaxed = safe.check(action(0, 0.1, 0), target, state_at(START), PERIOD)
    assert relaxed.clipped == ()


def test_a_short_effort_changes_nothing():
    safe, target = make_filter(), target_at(START)
    for efforts in ([0, 8.0, 0, 0, 0, 0], [0] * 6) * 10:
        checked = safe.check(action(0.1, 0.1), target, state_at(START, efforts), PERIOD)
        assert checked.clipped == ()
    assert safe.fault is None


def test_a_joint_state_that_is_not_finite_latches_a_fault():
    safe, target = make_filter(), target_at(START)
    with pytest.raises(SafetyError, match="not finite"):
        safe.check(action(), target, state_at([math.nan] * 6), PERIOD)


@pytest.mark.parametrize(
    "strange",
    [
        None,
        "1234567",
        ["a"] * 7,
        [[1.0], [2.0, 3.0]],
        np.full(7, 1j),
        np.array([None] * 7),
        np.zeros(10**6),
        {},
        b"7bytes!",
    ],
    ids=str,
)
def test_whatever_is_no_seven_real_numbers_holds(strange):
    checked = make_filter().check(strange, target_at(START), state_at(START), PERIOD)
    assert checked.clipped == ("non-finite",)
    np.testing.assert_array_equal(checked.target.joints, START)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, bool])
def test_real_numbers_of_any_type_and_shape_are_an_action(dtype):
    checked = make_filter().check(np.array([[1, 0, 0, 0, 0, 0, 1]], dtype), target_at(START), state_at(START), PERIOD)
    np.testing.assert_allclose(checked.executed, [1, 0, 0, 0, 0, 0, 1], atol=1e-6)


@pytest.mark.parametrize(("duration", "shift"), [(0.2, 0.05), (0.1, 0.05), (0.05, 0.025), (0.01, 0.005)])
def test_the_tip_is_no_faster_in_a_short_step(duration, shift):
    limits = replace(LIMITS, max_joint_speed=50.0)
    checked = make_filter(limits).check(action(1, 0, 0), target_at(START), state_at(START), duration)
    assert checked.target.pose.position[0] - 0.26 == pytest.approx(shift, abs=1e-7)
    assert checked.clipped == (() if duration >= 0.1 else ("speed",))
    turned = make_filter(limits).check(action(0, 0, 0, 0, 0, 1), target_at(START), state_at(START), duration)
    assert turned.target.pose.rpy[2] == pytest.approx(5 * shift, abs=1e-6)


@pytest.mark.parametrize("duration", [0.0, -0.2, 1e-9, math.nan])
def test_without_time_nothing_moves(duration):
    checked = make_filter().check(action(1, 1, 1), target_at(START), state_at(START), duration)
    assert checked.clipped == ("speed",)
    np.testing.assert_array_equal(checked.target.joints, START)


WIDE = replace(
    LIMITS,
    position_lower=(-0.2, -0.4, -0.2),
    position_upper=(0.45, 0.4, 0.5),
    rpy_lower=(-2.0, -1.1, -2.4),
    rpy_upper=(2.0, 1.1, 2.4),
)


def test_the_arm_stops_before_it_meets_itself_or_the_table():
    collision, rng = Collision(), np.random.default_rng(6)
    safe, target = make_filter(WIDE), target_at(START)
    held = 0
    for goal in rng.uniform(-1, 1, (60, 6)).round():
        for _ in range(12):
            before = target
            checked = safe.check(action(*goal, gripper=1), target, state_at(target.joints), PERIOD)
            target = checked.target
            assert collision.clearance(target.joints).distance >= LIMITS.collision_margin
            if "collision" in checked.clipped and not checked.executed[:6].any():
                assert target.joints is before.joints
                held += 1
    assert held > 20


def test_a_forearm_on_the_table_may_rise_and_not_sink():
    joints = np.array([0.0, 1.32, -1.10, 0.0, 1.2, 0.0])
    collision = Collision()
    here = collision.clearance(joints)
    assert here.pair.endswith("table")
    assert here.distance < LIMITS.collision_margin
    up, down = (make_filter(WIDE).check(action(0, 0, z), target_at(joints), state_at(joints), PERIOD) for z in (1, -1))
    assert collision.clearance(up.target.joints).distance > here.distance
    assert up.executed[2] > 0
    assert "collision" in down.clipped
    assert not down.executed[:6].any()


@pytest.mark.parametrize("field", ["velocities", "efforts", "gripper_width", "gripper_effort"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_any_measurement_that_is_not_finite_latches_a_fault(field, bad):
    safe, state = make_filter(), state_at(START)
    broken = np.full(6, bad) if np.ndim(getattr(state, field)) else bad
    with pytest.raises(SafetyError, match="not finite"):
        safe.check(action(), target_at(START), replace(state, **{field: broken}), PERIOD)
    assert safe.fault is not None


@pytest.mark.parametrize("joint", range(6))
def test_a_joint_far_outside_of_its_limits_latches_a_fault_and_a_little_is_moved_inside(joint):
    safe, joints = make_filter(), START.copy()
    joints[joint] = LIMITS.joint_upper[joint] + 0.09
    inside = safe.target_at(state_at(joints))
    assert inside.joints[joint] == LIMITS.joint_upper[joint]
    joints[joint] = LIMITS.joint_lower[joint] - 0.11
    with pytest.raises(SafetyError, match=r"was measured at .* outside of its limits"):
        safe.check(action(), inside, state_at(joints), PERIOD)
    with pytest.raises(SafetyError):
        safe.target_at(state_at(joints))


@pytest.mark.parametrize(
    "change",
    [
        {"position_lower": (0.5, -0.2, 0.01)},
        {"rpy_upper": (0.1, 0.1, 3.1)},
        {"joint_lower": (math.nan,) * 6},
        {"max_joint_speed": 0.0},
        {"effort_yield_steps": 0},
        {"effort_fault_steps": 2},
        {"max_efforts": (1.0,)},
        {"joint_margin": -0.1},
        {"joint_slack": 0.0},
        {"max_speed_position": math.nan},
        {"max_speed_rotation": -1.0},
        {"gripper_open_width": 0.3},
    ],
)
def test_limits_that_make_no_sense_are_refused(change):
    with pytest.raises(ConfigError, match=next(iter(change)).split("_")[0]):
        replace(LIMITS, **change)


def test_limits_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        make_filter().limits.max_joint_speed = 9.0
