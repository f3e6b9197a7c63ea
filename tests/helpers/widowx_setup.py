"""The arm driver on virtual servos in virtual time: whoever sleeps lets the control loop run."""

import numpy as np

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import RAD_PER_TICK
from drivers.dynamixel.servo_map import WX250S
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.motors import FirstOrderMotors
from trajectories.types import Command

UP = (0.2, -0.76, 0.44, -0.1, 1.2, 0.3)
GRIPPER = 9


class RecordingPort(LoopbackPort):
    """Keeps what was written."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.sent = []

    def write(self, data):
        self.sent.append((self._time.now_ns(), bytes(data)))
        super().write(data)


class WatchedMotors(FirstOrderMotors):
    """Keeps how far every joint has been from where `watch` found it, rad, at any instant."""

    watched = None

    def watch(self):
        self.watched, self.farthest = list(self.positions), [0.0] * len(self.positions)

    def advance(self, now_ns, drives):
        found = super().advance(now_ns, drives)
        if self.watched is not None:
            away = (abs(a - b) for a, b in zip(self.positions, self.watched, strict=True))
            self.farthest = [max(pair) for pair in zip(self.farthest, away, strict=True)]
        return found


class Rig:
    """Servos, what they turn, their line; `arm()` puts the driver on it. It is the clock of all of them."""

    def __init__(self, pose=UP, width_rad=0.5, faults=None, model=WX250S, servos=None, latency_s=0.002):
        self.latency_s = latency_s
        self.time = VirtualTime()
        self.motors = WatchedMotors((*pose, width_rad), self.time.now_ns())
        self.virtual = VirtualBus(servos or arm_servos(model), self.motors, now_ns=self.time.now_ns(), faults=faults)
        self.servos = self.virtual.servos
        self.port = RecordingPort(self.virtual, self.time)
        self.model = model
        self._arm = None
        self._due, self.period_ns = 0, 10_000_000
        self.running = True
        self.watch = None

    def bus(self):
        return DynamixelBus(lambda: self.port, clock=self.time.now_ns, latency_s=self.latency_s, return_delay_s=0.0)

    def arm(self, latch=None, **settings):
        self._arm = None
        self._arm = WidowX(self.bus(), self.model, ArmSettings(**settings), self, threaded=False, latch=latch)
        self._due = self.time.now_ns()
        return self._arm

    # -- robot.interfaces.Clock ---------------------------------------------------------------------
    def now_ns(self):
        return self.time.now_ns()

    def sleep_until_ns(self, t_ns):
        while self._arm is not None and self.running and self._due <= t_ns:
            self.time.sleep_until_ns(self._due)
            self.virtual.advance(self.time.now_ns())
            self._arm.cycle()
            if self.watch:
                self.watch()
            self._due = max(self._due + self.period_ns, self.time.now_ns())
        while self.time.now_ns() < t_ns:
            self.time.sleep_until_ns(min(t_ns, self.time.now_ns() + 5_000_000))
            self.virtual.advance(self.time.now_ns())

    # -- conveniences -------------------------------------------------------------------------------
    def wait(self, seconds):
        self.sleep_until_ns(self.now_ns() + round(seconds * 1e9))

    def command(self, joints, width=0.02):
        return Command(np.array(joints, dtype=np.float64), width, self.now_ns())

    def drive(self, joints, width=0.02, seconds=1.0):
        """Keep sending the same command at 50 Hz."""
        end = self.now_ns() + round(seconds * 1e9)
        while self.now_ns() < end:
            self._arm.send(self.command(joints, width))
            self.wait(0.02)

    def get(self, servo, name):
        return self.servos[servo].memory.get(name)

    @property
    def torques(self):
        return {servo: one.torque for servo, one in self.servos.items()}

    @property
    def joints(self):
        return np.array(self.motors.positions[: len(self.model.joints)])

    def goals(self):
        """Every goal position that went over the line: (ns, servo, ticks)."""
        found = []
        for t_ns, data in self.port.sent:
            if data[7] == 0x83 and int.from_bytes(data[8:10], "little") == 116:
                for at in range(12, len(data) - 2, 5):
                    found.append((t_ns, data[at], int.from_bytes(data[at + 1 : at + 5], "little", signed=True)))
            if data[7] == 0x03 and int.from_bytes(data[8:10], "little") == 116:
                found.append((t_ns, data[4], int.from_bytes(data[10:14], "little", signed=True)))
        return found


def clear(arm, person="Ada"):
    """A person looks at everything that stands, and clears it."""
    arm.clear(person, [fault.id for fault in arm.faults])


TICK = RAD_PER_TICK


def following_rig():
    """A rig whose arm has followed commands to `UP`."""
    rig = Rig()
    rig.arm()
    rig.drive(UP, seconds=0.3)
    return rig
