"""Feed everything that a policy, a person or a bug could send, and look at every command and every byte that comes out.

    python tests/soak_fuzz.py [--count 1000000] [--driver-count 1000000] [--minutes 10] [--seed 0]

First actions through `RobotEnv` onto a fake arm, whose every command is checked; then joint targets, and actions
through `RobotEnv`, through the arm's driver onto virtual servos in virtual time, where every goal on the line is
checked. Part of the time joints are blocked, measurements lie, steps come late. Ends with 1 at the first thing that is
not finite, out of limits, or further than one step from the last. Not collected by pytest; `test_fuzz.py` runs a short
version.
"""

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before tests/, whose folders have the rooms' names

from helpers.kinematic_arm import KinematicArm, ManualClock
from helpers.widowx_setup import TICK, Rig

from drivers.dynamixel.registers import ticks_to_rad
from drivers.dynamixel.servo_map import WX250S
from robot.control.collision import Collision
from robot.control.safety_limits import SafetyLimits
from robot.rollout.environment import RobotEnv
from trajectories.errors import RegraspError, SafetyError
from trajectories.types import Command, RobotSpec

SUBSTEP_S = 0.02
ROUNDING = 1.1
"""The shortest motion, half a period, has 5 substeps of 20 ... 22 ms."""
SPECIALS = (
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    1e38,
    -3.5e38,
    5e-324,
    -1e-310,
    1e-45,
    0.0,
    -0.0,
    1.0,
    -1.0,
    1.0000001,
)
STRANGE = (
    None,
    "up",
    "1234567",
    (),
    {},
    [[1.0], [2.0, 3.0]],
    np.zeros((7, 7)),
    np.full(7, 1 + 1j),
    np.zeros(0),
    object(),
)
TYPES = (np.float16, np.float32, np.float64, np.longdouble, np.int8, np.int64, bool)
WIDE = SafetyLimits(
    position_lower=(-0.2, -0.4, -0.2),
    position_upper=(0.45, 0.4, 0.5),
    rpy_lower=(-2.0, -1.1, -2.4),
    rpy_upper=(2.0, 1.1, 2.4),
)
"""A box in which only the collision check keeps the arm off itself and the table."""
GRIPPER = WX250S.gripper.servo
JOINT_LIMITS = {place.servo: (place.min_position, place.max_position) for place in WX250S.leaders[:-1]}


class ViolationError(Exception):
    """Something left that must not."""


@dataclass
class Tally:
    """What came of it."""

    fed: int = 0
    checked: int = 0
    largest_step: float = 0.0
    results: Counter = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def __str__(self):
        rate = self.fed / max(time.monotonic() - self.started, 1e-9)
        results = ", ".join(f"{name} {count:,}" for name, count in sorted(self.results.items()))
        return (
            f"{self.fed:,} fed ({rate:,.0f} a second), {self.checked:,} checked, largest step "
            f"{self.largest_step:.4f} rad; {results}"
        )


class Adversary:
    """Draws actions and joint targets, most of them nasty."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.push = np.zeros(7)

    def action(self, number):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.3:
            return rng.uniform(-1, 1, 7).astype(np.float32)
        if kind < 0.6:  # lean on a limit for a while
            if rng.random() < 0.1:
                self.push = rng.choice([-1.0, 0.0, 1.0], 7)
            return self.push.astype(np.float32)
        if kind < 0.7:
            return np.full(7, 1.0 if number % 2 else -1.0, np.float32)
        if kind < 0.8:
            return rng.uniform(-1, 1, 7) * 10.0 ** rng.uniform(-320, 308)
        if kind < 0.9:
            values = rng.uniform(-1, 1, 7)
            values[rng.random(7) < 0.4] = rng.choice(SPECIALS)
            return values
        if kind < 0.96:
            with np.errstate(all="ignore"):
                return rng.uniform(-200, 200, (7, 1)).astype(TYPES[rng.integers(len(TYPES))])
        if kind < 0.98:
            return rng.uniform(-1, 1, rng.integers(0, 9))
        return STRANGE[rng.integers(len(STRANGE))]

    def joints(self, number):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.4:
            return rng.uniform(-3.5, 3.5, 6)
        if kind < 0.6:
            return np.full(6, 3.2 if number % 2 else -3.2)
        if kind < 0.8:
            return rng.uniform(-1, 1, 6) * 10.0 ** rng.uniform(-320, 308)
        if kind < 0.95:
            values = rng.uniform(-2, 2, 6)
            values[rng.random(6) < 0.5] = rng.choice(SPECIALS)
            return values
        return rng.uniform(-1, 1, rng.integers(0, 9))

    def width(self):
        return float(self.rng.choice([*SPECIALS, self.rng.uniform(-0.1, 0.2), self.rng.uniform(0.0, 0.044)]))


class CheckedArm(KinematicArm):
    """Checks every command; lags, lies or pushes now and then."""

    def __init__(self, clock, tally):
        super().__init__(clock)
        self.tally, self.limits, self.largest, self.measured = tally, None, 0.0, None

    def send(self, command):
        joints, limits = command.joints, self.limits
        if joints.shape != (6,) or not ((joints >= limits.joint_lower) & (joints <= limits.joint_upper)).all():
            raise ViolationError(f"joints {joints}, allowed {limits.joint_lower} ... {limits.joint_upper}")
        if not limits.gripper_closed_width <= command.gripper_width <= limits.gripper_open_width:
            raise ViolationError(f"a gripper width of {command.gripper_width} m")
        step = float(np.abs(joints - self.joints).max())
        if not step <= self.largest:
            raise ViolationError(f"a step of {step} rad, allowed {self.largest}")
        self.tally.largest_step = max(self.tally.largest_step, step)
        self.tally.checked += 1
        self.joints, self.width = joints, command.gripper_width

    def read(self):
        state = super().read()
        if self.measured is not None:
            state.joints[:] = self.measured
        return state


def fuzz_environment(count, seed, tell=lambda tally: None, limits=None):
    """Actions through `RobotEnv` onto a fake arm, within `limits` or the defaults; returns the tally.

    Raises:
        ViolationError: At the first bad command.
    """
    adversary, tally, clock = Adversary(seed), Tally(), ManualClock()
    rng, arm, collision = adversary.rng, CheckedArm(clock, tally), Collision()
    env = RobotEnv(arm, {}, clock, RobotSpec(cameras={}), limits=limits)
    arm.limits, arm.largest = env.limits, env.limits.max_joint_speed * SUBSTEP_S * ROUNDING
    lower, upper = np.array(env.limits.position_lower) - 1e-9, np.array(env.limits.position_upper) + 1e-9
    for number in range(count):
        odd = rng.random()
        if odd < 0.1:
            clock.now += int(rng.integers(0, 500_000_000))
        lie = odd > 0.999
        if odd > 0.98:
            arm.measured = arm.joints + rng.normal(0, 0.3, 6)
        if lie:
            arm.measured = np.full(6, rng.choice([np.nan, np.inf, 50.0]))
        arm.efforts[:] = rng.choice([0.0, 9.0]) if odd < 0.3 else arm.efforts
        try:
            applied = env.apply(adversary.action(number))
        except SafetyError:
            tally.results["faults"] += 1
            arm.measured = None
            arm.efforts[:] = 0.0
            env.clear_faults("fuzz", [fault.id for fault in env.faults])
        else:
            position, executed = env.target.pose.position, applied.executed
            if lie:
                raise ViolationError("a motion on a measurement that is impossible")
            if not (np.abs(executed) <= 1).all():
                raise ViolationError(f"executed {executed}")
            if not ((position >= lower) & (position <= upper)).all():
                raise ViolationError(f"a target at {position} m")
            tally.results.update(applied.command.clipped)
        if odd > 0.9:
            arm.measured = None
        if number % 20 == 0:
            clearance = collision.clearance(env.target.joints)
            if clearance.distance < env.limits.collision_margin - 1e-6:
                raise ViolationError(f"{clearance}")
        tally.fed += 1
        tell(tally)
    return tally


class Wire:
    """Every goal position that goes over the virtual line, checked."""

    def __init__(self, rig, arm, tally):
        self.rig, self.tally, self.last = rig, tally, {}
        settings = arm.settings
        self.limits = {**JOINT_LIMITS, GRIPPER: arm._loop.goals.limits[-1]}
        speeds = settings.motion.speed, settings.gripper.motion.speed
        self.steps = tuple(speed * settings.period_s + 1.5 * TICK for speed in speeds)

    def look(self):
        """Check what was sent since the last time."""
        for _, servo, ticks in self.rig.goals():
            self._check_limits(servo, ticks)
            step, allowed = abs(ticks - self.last.get(servo, ticks)) * TICK, self.steps[servo == GRIPPER]
            if step > allowed:
                raise ViolationError(f"servo {servo} goes {step} rad at once, allowed {allowed}")
            if servo != GRIPPER:
                self.tally.largest_step = max(self.tally.largest_step, step)
            self.last[servo] = ticks
            self.tally.checked += 1
        self.rig.port.sent.clear()

    def taken_over(self):
        """After a fault the goals are where the joints are."""
        for _, servo, ticks in self.rig.goals():
            self._check_limits(servo, ticks)
            away = abs(ticks_to_rad(ticks) - self.rig.motors.positions[WX250S.place(servo).joint])
            if away > 0.2:
                raise ViolationError(f"servo {servo} was taken over {away} rad away")
        self.rig.port.sent.clear()
        self.last.clear()

    def _check_limits(self, servo, ticks):
        low, high = self.limits[servo]
        if not low <= ticks <= high:
            raise ViolationError(f"goal {ticks} of servo {servo}, allowed {low} ... {high}")


def fuzz_driver(count, seed, tell=lambda tally: None, until=math.inf):
    """Joint targets and actions through the driver onto virtual servos; returns the tally.

    Raises:
        ViolationError: At the first bad goal on the line.
    """
    adversary, tally, rig = Adversary(seed), Tally(), Rig(pose=(0.0, -0.55, 0.55, 0.0, 1.5, 0.0), width_rad=1.0)
    rng, arm = adversary.rng, rig.arm()
    wire = Wire(rig, arm, tally)
    rig.port.sent.clear()
    rig.watch = wire.look
    env = RobotEnv(arm, {}, rig, RobotSpec(cameras={}))
    while tally.fed < count and time.monotonic() < until:
        odd = rng.random()
        rig.motors.blocked = {int(rng.integers(6))} if odd < 0.0005 else set() if odd < 0.002 else rig.motors.blocked
        try:
            if tally.fed % 2000 < 1000:
                arm.send(Command(adversary.joints(tally.fed), adversary.width(), rig.now_ns()))
                rig.wait(float(rng.choice([0.01, 0.01, 0.01, 0.02, 0.03, 0.6], p=[0.5, 0.2, 0.1, 0.1, 0.09, 0.01])))
            else:
                if tally.fed % 1000 == 0:
                    env.resync()
                env.apply(adversary.action(tally.fed))
        except SafetyError:
            tally.results["refused"] += 1
            if env.fault is not None:
                tally.results["faults"] += 1
                _recover(rig, env, wire)
        else:
            tally.results["taken"] += 1
        tally.fed += 1
        tell(tally)
    return tally


def _recover(rig, env, wire):
    rig.motors.blocked = set()
    rig.wait(1.0)
    rig.watch = None
    wire.look()
    try:
        env.clear_faults("fuzz", [fault.id for fault in env.faults])
    finally:
        wire.taken_over()
        rig.watch = wire.look


def main() -> int:
    """Fuzz, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="actions through RobotEnv")
    parser.add_argument("--driver-count", type=int, default=1_000_000, help="targets and actions through the driver")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most, for the driver")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    def tell(tally):
        if tally.fed % 50_000 == 0:
            print(f"  {tally}", flush=True)

    try:
        print("actions through RobotEnv", flush=True)
        wide = options.count // 10
        print(fuzz_environment(options.count - wide, options.seed, tell), flush=True)
        print("the same in a box that reaches behind the arm and below the table", flush=True)
        print(fuzz_environment(wide, options.seed + 1, tell, WIDE), flush=True)
        print("targets and actions through the driver", flush=True)
        until = time.monotonic() + 60.0 * options.minutes
        print(fuzz_driver(options.driver_count, options.seed, tell, until), flush=True)
    except (ViolationError, RegraspError) as error:
        print(f"VIOLATION: {type(error).__name__}: {error}")
        return 1
    print("nothing non-finite, out of limits or too fast left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
