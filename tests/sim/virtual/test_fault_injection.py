"""Every fault does what it says, and `heal` ends it. The bus is moved on by hand."""

import time

import numpy as np
import pytest

from drivers.dynamixel.messages import HardwareError
from sim.scene.scene import Scene
from sim.scene.spec import SceneSpec
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.cameras import Fault, VirtualCamera
from sim.virtual.fault_injection import LINE_FAULTS, FaultInjector
from sim.virtual.physics_link import MujocoMotors
from sim.virtual.pty import PtyServer
from trajectories.errors import ConfigError


class Rig:
    """A bus on a port, the twin's arm behind it, and a camera."""

    def __init__(self, folder):
        self.physics = Scene(SceneSpec((), ()), randomise=False).physics
        now = time.monotonic_ns()
        motors = MujocoMotors(self.physics, now)
        self.bus = VirtualBus(arm_servos(), motors, now_ns=now)
        self.server = PtyServer(self.bus, folder / "arm")
        self.camera = VirtualCamera(folder / "cam", lambda: np.zeros((4, 4, 3), np.uint8))
        self.injector = FaultInjector(self.server, motors, self.physics, {"front": self.camera})

    def __call__(self, what, **values):
        return self.injector.happen(what, values)

    def servo(self, number):
        return self.bus.servos[number]

    def later(self, seconds=0.05):
        """Let the servos live for a while."""
        start = self.physics.now_ns
        end = time.monotonic() + 20
        while self.physics.now_ns < start + seconds * 1e9:
            assert time.monotonic() < end, "the servos stand still"
            time.sleep(0.005)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("rig"))
    yield rig
    rig.server.close()
    rig.camera.close()


@pytest.fixture
def rig(shared):
    shared("heal")
    shared.later()
    with shared.server.lock:
        for one in shared.bus.servos.values():
            one.reboot(time.monotonic_ns() - 10**9)
            one.memory.set("torque_enable", 1)
    return shared


def test_one_servo_trips_for_overload(rig):
    rig("overload", servo=4)
    assert rig.servo(4).hardware_error == HardwareError.OVERLOAD
    assert not rig.servo(4).torque
    assert rig.servo(5).torque


def test_heat_trips_the_servo_and_cools_down(rig):
    rig("overheating", servo=8, celsius=71)
    rig.later()
    assert rig.servo(8).memory.get("present_temperature") == 71  # an XL430 trips at 72
    assert rig.servo(8).torque
    rig("overheating", servo=8)
    rig.later()
    assert rig.servo(8).hardware_error == HardwareError.OVERHEATING
    rig("heal")
    rig.later()
    assert rig.servo(8).memory.get("present_temperature") < 40


def test_one_servo_browns_out_and_comes_back_without_torque(rig):
    rig("brown-out", servo=3)
    rig.later()
    assert not rig.servo(3).listens(time.monotonic_ns())
    assert rig.servo(2).torque
    rig("heal")
    rig.later(0.5)
    assert rig.servo(3).listens(time.monotonic_ns())
    assert not rig.servo(3).torque


def test_the_whole_supply_sags(rig):
    rig("brown-out", volts=10.5)
    rig.later()
    assert {one.memory.get("present_input_voltage") for one in rig.bus.servos.values()} == {105}
    assert all(one.torque for one in rig.bus.servos.values())


def test_a_servo_restarts_or_falls_silent(rig):
    rig("reboot", servo=1)
    assert not rig.servo(1).torque
    rig("silent", servo=6)
    assert rig.bus.faults.dead == {6}
    rig("heal")
    assert not rig.bus.faults.dead


def test_what_hangs_on_the_gripper_loads_the_shoulder(rig):
    rig.later(0.3)
    before = rig.servo(2).memory.get("present_current")
    rig("pull", newtons=8)
    rig.later(0.3)
    # 8 N at 0.12 m in front of the axis are 0.96 N m, 12 % of two servos' stall torque and of 2.3 A in each
    more = (rig.servo(2).memory.get("present_current") - before) * 0.00269
    assert abs(more) == pytest.approx(0.96 / 8.2 * 2.3, abs=0.1)
    rig("pull", newtons=0)


def test_a_blocked_joint_stands_while_its_servo_pushes(rig):
    def turned():
        before = rig.physics.data.qpos[0]
        with rig.server.lock:
            goal = rig.servo(1).memory.get("present_position") + 100
            rig.servo(1).write(116, goal.to_bytes(4, "little"))
        rig.later(0.5)
        return abs(rig.physics.data.qpos[0] - before) / (100 * 2 * np.pi / 4096)

    rig("block", servo=1)
    assert turned() < 0.05
    assert abs(rig.servo(1).memory.get("present_current")) * 0.00269 > 0.9 * 2.3  # as much as it can
    rig("heal")
    rig.later(0.3)
    assert turned() == pytest.approx(1.0, abs=0.05)


def test_the_line_suffers_as_told(rig):
    rig("line", damaged=0.01, late=0.5, late_s=0.03)
    assert (rig.bus.faults.damaged, rig.bus.faults.late, rig.bus.faults.late_s) == (0.01, 0.5, 0.03)
    assert rig.bus.faults.dropped == 0.0
    rig("heal")
    assert rig.bus.faults.damaged == 0.0
    assert "dead" not in LINE_FAULTS
    assert "deaf" in LINE_FAULTS


def test_plugs_and_cameras(rig):
    rig("unplug")
    assert not rig.server.terminal
    rig.later()
    rig("plug")
    assert rig.server.terminal
    rig("unplug", camera="front")
    assert not rig.camera.plugged
    rig("plug", camera="front")
    for name, fault in (("freeze", Fault.FREEZE), ("slow", Fault.SLOW), ("hang", Fault.HANG)):
        rig(name, camera="front")
        assert rig.camera.fault is fault
    assert rig("kill", camera="front") == "nobody has camera front open"
    rig("heal")
    assert rig.camera.fault is Fault.NONE
    assert rig.camera.plugged


@pytest.mark.parametrize(
    ("what", "values", "says"),
    [
        ("flood", {}, "overload"),
        ("overload", {"servo": 12}, "there are"),
        ("overload", {"servo": "2"}, "servo is '2'"),
        ("overheating", {"servo": 2, "celsius": 1e9}, "celsius"),
        ("brown-out", {"volts": -1}, "volts"),
        ("pull", {"newtons": float("nan")}, "newtons"),
        ("block", {"servo": 9}, "gripper"),
        ("line", {}, "damaged"),
        ("line", {"dead": 1}, "damaged"),
        ("line", {"dropped": 2}, "dropped is 2"),
        ("freeze", {}, "camera"),
        ("freeze", {"camera": ["front"]}, "front"),
        ("unplug", {"camera": "back"}, "front"),
    ],
)
def test_what_cannot_happen_is_refused(rig, what, values, says):
    with pytest.raises(ConfigError, match=says):
        rig(what, **values)
