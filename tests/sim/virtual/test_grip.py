"""The driver on servos that turn the twin, beside the twin's own arm; in virtual time."""

import numpy as np
import pytest

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.servo_map import WX250S
from drivers.hosting.checks import Mode
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from robot.arms.wx250s import WX250S as ARM
from robot.control.kinematics import Kinematics
from robot.control.poses import READY_JOINTS
from sim.scene.objects import OBJECTS
from sim.scene.scene import Scene
from sim.scene.spec import ObjectSpec, SceneSpec
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.physics_link import MujocoMotors
from trajectories.types import Command

EMPTY = SceneSpec((), ())
CAN = SceneSpec((), (ObjectSpec("can", "can", (0.28, 0.0)),))


class Rig:
    """The twin's arm behind virtual servos and the driver; it is the clock of all of them."""

    def __init__(self, spec=EMPTY, joints=READY_JOINTS):
        self.scene = Scene(spec, randomise=False)
        self.scene.physics.set_arm(joints, ARM.opening)
        self.time = VirtualTime()
        now = self.time.now_ns()
        self.virtual = VirtualBus(arm_servos(), MujocoMotors(self.scene.physics, now), now_ns=now)
        port = LoopbackPort(self.virtual, self.time)
        bus = DynamixelBus(lambda: port, clock=self.time.now_ns, latency_s=0.002, return_delay_s=0.0)
        self.arm = None
        self.arm = WidowX(bus, WX250S, ArmSettings(), self, threaded=False)
        self._due = now

    def now_ns(self):
        return self.time.now_ns()

    def sleep_until_ns(self, t_ns):
        while self.arm is not None and self._due <= t_ns:
            self.time.sleep_until_ns(self._due)
            self.virtual.advance(self.now_ns())
            self.arm.cycle()
            self._due = max(self._due + 10_000_000, self.now_ns())
        self.time.sleep_until_ns(t_ns)
        self.virtual.advance(self.now_ns())

    def drive(self, joints, width, seconds):
        """The same goal at 50 Hz."""
        end = self.now_ns() + round(seconds * 1e9)
        while self.now_ns() < end:
            self.arm.send(Command(np.array(joints), width, self.now_ns()))
            self.sleep_until_ns(self.now_ns() + 20_000_000)

    @property
    def joints(self):
        return self.scene.physics.data.qpos[:6].copy()


def sine(seconds):
    """A goal that all joints follow, up to 0.9 rad/s."""
    phase = np.array([0.0, 0.4, 0.8, 1.2, 1.6, 2.0])
    return np.array(READY_JOINTS) + 0.3 * (np.sin(3.0 * seconds + phase) - np.sin(phase)) * min(seconds, 1.0)


def test_the_driver_on_virtual_servos_follows_as_the_twins_arm_does():
    rig, twin = Rig(), Scene(EMPTY, randomise=False)
    rig.drive(READY_JOINTS, ARM.opening, 0.5)
    start, real, simulated = rig.now_ns(), [], []
    twin.clock.sleep_until_ns(500_000_000)
    for i in range(150):
        goal = sine(0.02 * i)
        rig.arm.send(Command(goal, ARM.opening, rig.now_ns()))
        twin.arm.send(Command(goal, ARM.opening, 0))
        for _ in range(5):
            rig.sleep_until_ns(start + len(real) * 4_000_000 + 4_000_000)
            twin.clock.sleep_until_ns(500_000_000 + len(simulated) * 4_000_000 + 4_000_000)
            real.append(rig.joints)
            simulated.append(twin.physics.data.qpos[:6].copy())
    tips = [np.array([Kinematics().forward(q).position for q in track]) for track in (real, simulated)]
    errors = {}
    for lag in range(0, 20):
        away = tips[0][lag:] - tips[1][: len(tips[1]) - lag]
        errors[4 * lag] = float(np.sqrt((away[100:] ** 2).sum(axis=1).mean()))
    best = min(errors, key=lambda lag: errors[lag])
    # one 20 ms goal behind (the driver moves on while the next is on its way), one cycle of 10 ms, and little else
    assert 12 <= best <= 40
    assert errors[best] < 0.002


def test_what_the_gripper_holds_it_goes_on_holding():
    info = OBJECTS["can"]
    tip = Kinematics().forward(READY_JOINTS)
    over = type(tip).of((0.28, 0.0, info.grasp_height), (0.0, 0.0, 0.0))
    joints = Kinematics().inverse(over, READY_JOINTS)
    rig = Rig(CAN, joints)
    rig.drive(joints, ARM.opening, 0.3)
    rig.drive(joints, 0.0, 1.5)
    held = rig.arm.read().gripper_width
    assert held == pytest.approx(info.grasp_width, abs=0.004)
    lifted = Kinematics().inverse(type(tip).of((0.28, 0.0, 0.13), (0.0, 0.0, 0.0)), joints)
    rig.drive(lifted, 0.0, 8.0)
    height = rig.scene.physics.body_pose("can")[0][2]
    assert height == pytest.approx(0.13 - info.grasp_height, abs=0.015)
    servo = rig.virtual.servos[9]
    assert servo.memory.get("goal_pwm") == 250  # it noticed that it holds something
    assert 0.5 * 250 / 885 < servo.memory.get("present_load") / -1000 <= 250 / 885 + 0.01
    assert rig.arm.mode is Mode.FOLLOW
    assert rig.arm.fault is None
    assert not servo.hardware_error
    rig.drive(lifted, ARM.opening, 0.8)
    assert rig.scene.physics.body_pose("can")[0][2] < 0.05
