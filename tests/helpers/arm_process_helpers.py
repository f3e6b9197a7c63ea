"""An arm on a pseudo-terminal in this process, for drivers in other ones. Real time: nothing here measures it."""

import os
import signal
import time
from contextlib import contextmanager

import numpy as np

from drivers.widowx.process import ProcessWidowX
from drivers.widowx.setpoints import MotionLimits
from drivers.widowx.settings import ArmSettings
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.motors import FirstOrderMotors
from sim.virtual.pty import PtyServer
from trajectories.types import Command

NEARLY_ASLEEP = np.array((0.1, -1.65, 1.45, 0.0, 0.9, 0.1))  # WX250S.sleep is (0, -1.8, 1.55, 0, 0.8, 0)
PATIENT = {"rate_hz": 50, "watchdog_units": 127, "max_age_s": 2.0, "latency_s": 0.1, "on_close": "hold"}
SLOW = MotionLimits(0.5, 5.0)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return found


def command(joints, width=0.02):
    return Command(np.array(joints, dtype=np.float64), width, time.monotonic_ns())


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Bench:
    """Virtual servos and their terminal."""

    def __init__(self, folder, pose=NEARLY_ASLEEP):
        now = time.monotonic_ns()
        self.motors = FirstOrderMotors((*pose, 0.5), now)
        self.server = PtyServer(VirtualBus(arm_servos(), self.motors, now_ns=now), folder / "arm")
        self.path = self.server.path

    @property
    def joints(self):
        with self.server.lock:
            return np.array(self.motors.positions[:6])

    @property
    def torques(self):
        with self.server.lock:
            return {servo: one.torque for servo, one in self.server.bus.servos.items()}

    def get(self, servo, name):
        with self.server.lock:
            return self.server.bus.servos[servo].memory.get(name)

    def stands(self):
        """Whether nothing moves while the loop goes on for twenty cycles."""
        before, heard = self.joints, self.server.bus.heard
        until(lambda: self.server.bus.heard > heard + 40)
        return np.abs(self.joints - before).max() < 1e-4

    @contextmanager
    def arm(self, orphan=None, **settings):
        arm = ProcessWidowX.connect(self.path, settings=ArmSettings(**{**PATIENT, **settings}), orphan=orphan)
        try:
            yield arm
        finally:
            arm.close()
            assert not runs(arm.pid)

    def close(self):
        self.server.close()


def follow(arm, goal):
    """Send `goal` until the arm is there."""

    def arrived():
        arm.send(command(goal))
        return np.abs(arm.read().joints - goal).max() < 0.01

    until(arrived)


def turned(joint, angle):
    """`NEARLY_ASLEEP` with one joint turned by `angle`, rad."""
    pose = NEARLY_ASLEEP.copy()
    pose[joint] += angle
    return pose


def kill(arm):
    os.kill(arm.pid, signal.SIGKILL)
    until(lambda: "code -9" in (arm.fault or ""))
