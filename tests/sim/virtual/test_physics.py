"""Virtual servos that turn the MuJoCo twin."""

import numpy as np
import pytest

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.cycle import StateCycle
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.registers import rad_to_ticks, ticks_to_rad
from drivers.dynamixel.servo_map import WIDOWX_LINKAGE
from robot.arms.wx250s import WX250S as ARM
from robot.control.poses import READY_JOINTS
from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.physics_link import MujocoMotors

MASTERS = (1, 2, 4, 6, 7, 8)


class Rig:
    """The twin's arm behind its virtual servos."""

    def __init__(self):
        self.scene = Scene(SceneSpec((), ()), randomise=False)
        self.time = VirtualTime()
        self.virtual = VirtualBus(
            arm_servos(), MujocoMotors(self.scene.physics, self.time.now_ns()), now_ns=self.time.now_ns()
        )
        self.port = LoopbackPort(self.virtual, self.time)
        self.bus = DynamixelBus(lambda: self.port, clock=self.time.now_ns)
        self.bus.identify(range(1, 10))
        self.cycle = StateCycle(self.bus, range(1, 10))
        self.cycle.configure()

    def wait(self, seconds):
        end = self.time.now_ns() + round(seconds * 1e9)
        while self.time.now_ns() < end:
            self.time.sleep_until_ns(self.time.now_ns() + 10_000_000)
            self.virtual.advance(self.time.now_ns())

    def hold(self):
        for servo in (*MASTERS, 9):
            limits = self.bus.read(servo, "min_position_limit"), self.bus.read(servo, "max_position_limit")
            # At an end stop the present position may lie a tick beyond the limits.
            present = min(max(self.bus.read(servo, "present_position"), limits[0]), limits[1])
            self.bus.write(servo, "goal_position", present)
            self.bus.write(servo, "torque_enable", 1)

    @property
    def joints(self):
        return self.scene.physics.data.qpos[:6]


@pytest.fixture
def rig():
    return Rig()


def test_registers_show_the_twins_joints(rig):
    states = rig.cycle.read()
    for servo, angle in zip(MASTERS, READY_JOINTS, strict=True):
        assert states[servo].position == pytest.approx(angle, abs=0.01)
    assert states[3].position == states[2].position
    assert WIDOWX_LINKAGE.width(states[9].position) == pytest.approx(ARM.opening, abs=0.001)


def test_goals_move_the_twin_in_its_own_directions(rig):
    rig.hold()
    goal = np.array([0.3, -0.6, 0.4, 0.2, 1.4, -0.3])
    rig.bus.sync_write("profile_velocity", dict.fromkeys(MASTERS, 40))
    rig.bus.sync_write("goal_position", {s: rad_to_ticks(a) for s, a in zip(MASTERS, goal, strict=True)})
    rig.bus.sync_write("goal_position", {9: rad_to_ticks(WIDOWX_LINKAGE.angle(0.02))})
    rig.wait(0.2)
    assert rig.cycle.read()[1].velocity == pytest.approx(40 * 0.02398, rel=0.15)
    rig.wait(1.8)
    assert rig.joints == pytest.approx(goal, abs=0.03)
    states = rig.cycle.read()
    for servo, angle in zip(MASTERS, rig.joints, strict=True):
        assert states[servo].position == pytest.approx(angle, abs=0.002)
    assert WIDOWX_LINKAGE.width(states[9].position) == pytest.approx(0.02, abs=0.002)


def test_held_still_the_load_is_gravitys(rig):
    rig.hold()
    rig.wait(1.0)
    physics = rig.scene.physics
    share = physics.data.actuator_force[2] / 8.2
    state = rig.cycle.read()[4]
    assert abs(state.current) > 0.1
    assert state.current == pytest.approx(share * 2.3, abs=0.01)
    assert rig.cycle.read()[5].current == pytest.approx(-state.current, abs=0.01)  # reverse mode leaves its sign alone


def test_without_torque_the_arm_falls(rig):
    rig.hold()
    rig.wait(0.5)
    high = rig.scene.physics.tip_position()[2]
    for servo in MASTERS:
        rig.bus.write(servo, "torque_enable", 0)
    rig.wait(2.0)
    assert rig.scene.physics.tip_position()[2] < high - 0.1
    assert rig.cycle.read()[2].current == 0.0
    rig.hold()
    rig.wait(0.3)
    caught = rig.joints.copy()
    rig.wait(0.5)
    assert rig.joints == pytest.approx(caught, abs=0.02)


def test_one_servo_of_a_pair_carries_all_when_the_other_trips(rig):
    rig.hold()
    rig.wait(0.5)
    both = rig.cycle.read()
    rig.virtual.servos[3].protection.forced = HardwareError.OVERLOAD
    rig.wait(0.5)
    alone = rig.cycle.read()
    assert alone[3].error == HardwareError.OVERLOAD
    assert alone[3].current == 0.0
    assert alone[2].current == pytest.approx(2 * both[2].current, rel=0.15)


def test_a_gripper_that_squeezes_with_all_its_strength_trips_and_a_weaker_one_does_not():
    errors = {}
    for strength in (350, 885):
        rig = Rig()
        rig.bus.write(9, "goal_pwm", strength)
        rig.hold()
        rig.bus.write(9, "goal_position", rad_to_ticks(WIDOWX_LINKAGE.angle(0.0)) - 300)
        rig.wait(4.0)
        errors[strength] = rig.bus.read(9, "hardware_error_status")
        assert ticks_to_rad(rig.bus.read(9, "present_position")) == pytest.approx(WIDOWX_LINKAGE.angle(0.0), abs=0.05)
    assert errors == {350: 0, 885: HardwareError.OVERLOAD}


def test_a_pause_is_not_caught_up(rig):
    before = rig.scene.physics.now_ns
    rig.time.sleep_until_ns(rig.time.now_ns() + 60_000_000_000)
    rig.virtual.advance(rig.time.now_ns())
    assert rig.scene.physics.now_ns - before <= 100_000_000
    before = rig.scene.physics.now_ns
    rig.wait(1.0)
    assert rig.scene.physics.now_ns - before == pytest.approx(1e9, abs=5e6)
