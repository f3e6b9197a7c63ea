"""Setpoints never jump, never exceed their limits, and reach their targets without overshoot."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.widowx.setpoints import Interpolator, MotionLimits, SleepMotion, straight
from trajectories.errors import ConfigError

DT = 0.01
angles = st.floats(-3.0, 3.0)
limits = st.builds(MotionLimits, st.floats(0.05, 5.0), st.floats(0.2, 60.0))
plans = st.lists(st.tuples(angles, st.integers(1, 60)), min_size=1, max_size=8)


def test_a_known_motion_takes_its_known_time():
    """1 rad at 2 rad/s and 10 rad/s^2: 0.2 s up, 0.3 s at full speed, 0.2 s down."""
    motion = Interpolator([0.0], [MotionLimits(2.0, 10.0)], DT)
    motion.head_for([1.0])
    fastest, count = 0.0, 0
    while not motion.arrived:
        motion.step()
        fastest = max(fastest, motion.velocities[0])
        count += 1
    assert motion.positions == [1.0]
    assert fastest == pytest.approx(2.0)
    assert count == pytest.approx(70, abs=2)


@settings(max_examples=80, deadline=None)
@given(start=angles, limit=limits, plan=plans)
def test_speed_acceleration_and_range_hold_whatever_the_targets_do(start, limit, plan):
    motion = Interpolator([start], [limit], DT)
    lowest, highest = start, start
    position, velocity = start, 0.0
    for target, steps in plan:
        lowest, highest = min(lowest, target), max(highest, target)
        motion.head_for([target])
        for _ in range(steps):
            (new,) = motion.step()
            speed = (new - position) / DT
            assert abs(speed) <= limit.speed * (1 + 1e-9) + 1e-9
            assert abs(speed - velocity) <= limit.acceleration * DT * (1 + 1e-6) + 1e-9
            assert lowest - 1e-9 <= new <= highest + 1e-9
            position, velocity = new, speed


@settings(max_examples=60, deadline=None)
@given(start=angles, target=angles, limit=limits)
def test_a_target_is_reached_in_time_without_overshoot_and_kept(start, target, limit):
    motion = Interpolator([start], [limit], DT)
    motion.head_for([target])
    way = abs(target - start)
    ideal = way / limit.speed + limit.speed / limit.acceleration + 2 * math.sqrt(way / limit.acceleration)
    for _ in range(math.ceil(ideal / DT) + 5):
        before = motion.positions[0]
        (new,) = motion.step()
        assert (new - before) * (target - start) >= 0
    assert motion.arrived
    assert motion.positions == [target]
    assert motion.step() == [target]


@settings(max_examples=60, deadline=None)
@given(start=angles, limit=limits, plan=plans)
def test_braking_stops_as_soon_as_possible(start, limit, plan):
    motion = Interpolator([start], [limit], DT)
    for target, steps in plan:
        motion.head_for([target])
        for _ in range(steps):
            motion.step()
    speed = abs(motion.velocities[0])
    motion.brake()
    count = 0
    while not motion.at_rest:
        motion.step()
        count += 1
        assert abs(motion.velocities[0]) <= speed + 1e-9
    assert count <= speed / (limit.acceleration * DT) + 2


def test_folding_brakes_first_and_then_goes_straight():
    motion = Interpolator([0.0, 0.0], [MotionLimits(2.5, 20.0)] * 2, DT)
    motion.head_for([2.0, -2.0])
    for _ in range(30):
        motion.step()
    fold = SleepMotion([0.1, 1.5], MotionLimits(0.6, 1.5))
    while not motion.at_rest:
        fold.step(motion)
    start = list(motion.positions)
    assert start[0] > 0.4
    assert start[1] < -0.4
    while not fold.arrived(motion):
        fold.step(motion)
        parts = [(p - s) / (e - s) for p, s, e in zip(motion.positions, start, (0.1, 1.5), strict=True)]
        assert parts[0] == pytest.approx(parts[1], abs=1e-6)
        assert max(map(abs, motion.velocities)) <= 0.6 + 1e-9
    assert motion.positions == [0.1, 1.5]


def test_joints_with_nothing_to_do_stay():
    assert straight([1.0, 2.0], [1.0, 2.0], MotionLimits(1, 1)) == [MotionLimits(1, 1)] * 2
    assert straight([0.0, 2.0], [1.0, 2.5], MotionLimits(1, 4))[1] == MotionLimits(0.5, 2.0)


@pytest.mark.parametrize("bad", [(0, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_limits_that_are_none_are_refused(bad):
    with pytest.raises(ConfigError, match="above 0"):
        MotionLimits(*bad)
