"""The driver's bus on virtual servos, without real time."""

from drivers.dynamixel.bus import DynamixelBus
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.motors import FirstOrderMotors

IDS = range(1, 10)


class Setup:
    """Nine servos, what they turn, their line and the driver's bus, in virtual time."""

    def __init__(self, servos=None, wire_baud=None, faults=None, **settings):
        self.time = VirtualTime()
        self.motors = FirstOrderMotors(now_ns=self.time.now_ns())
        self.virtual = VirtualBus(
            servos or arm_servos(),
            self.motors,
            now_ns=self.time.now_ns(),
            wire_baud=wire_baud,
            faults=faults,
        )
        self.port = LoopbackPort(self.virtual, self.time)
        self.bus = DynamixelBus(lambda: self.port, clock=self.time.now_ns, **settings)
        self.bus.identify(self.virtual.servos)
        self.servos = self.virtual.servos

    def wait(self, seconds, step=0.01):
        """Let the servos live on, with nobody talking to them."""
        end = self.time.now_ns() + round(seconds * 1e9)
        while self.time.now_ns() < end:
            self.time.sleep_until_ns(min(end, self.time.now_ns() + round(step * 1e9)))
            self.virtual.advance(self.time.now_ns())

    def hold(self, *servos):
        """Goal = present position, then torque on."""
        for servo in servos:
            self.bus.write(servo, "goal_position", self.bus.read(servo, "present_position"))
            self.bus.write(servo, "torque_enable", 1)
