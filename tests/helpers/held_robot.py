"""A whole robot in simulated time and one thread, of the parts of the real one, to watch that it stands.

Environment, latches with their records, session's end of the arm, shared memory, arm's process with its loop, bus and
servos are those of the robot; only the process itself is pretended. `HeldRobot` looks after every cycle that no goal
moves that must not, by its own bookkeeping of what stands.
"""

import os
from contextlib import suppress
from types import SimpleNamespace

from drivers.hosting import process_arm
from drivers.hosting.process_arm import ProcessArm
from drivers.hosting.shared_block import SharedBlock
from drivers.widowx import hosting
from drivers.widowx.hosting import HostedWidowX
from drivers.widowx.settings import ArmSettings
from helpers.widowx_setup import TICK, Rig
from robot.arms.wx250s import WX250S as MODEL
from robot.control.faults import FaultLatch, inherited
from robot.rollout.environment import RobotEnv
from trajectories.errors import DeviceError, RegraspError
from trajectories.types import RobotSpec

MAX_AGE_S = 1.0
STOPS_NS = 800_000_000
"""From the cycle in which something comes to stand until the last goal: braking from the fastest motion takes 0.13 s,
then 0.1 s of standing, then at most the way back to where the joint is."""
BRAKES_RAD = 0.16
"""Braking of a joint from 2.5 rad/s at 20 rad/s^2, and of the gripper from 3 rad/s at 30 rad/s^2."""
FASTEST_RAD_S = 3.0
NEARLY_ASLEEP = (0.1, -1.65, 1.45, 0.0, 0.9, 0.1)


class UnwantedMotionError(AssertionError):
    """A goal moved that had to stand, or something that stood is gone without a word."""


class InlineHosted(HostedWidowX):
    """The arm in its process, whose cycles the rig runs."""

    def __init__(self, rig, bus, settings, block, latch):
        self._rig = rig
        super().__init__(bus, rig.model, settings, block, "normal", latch)

    def _start_loop(self):
        self._clock = self._rig
        self._rig._arm = self
        self._rig._due = self._rig.now_ns()


class InlineProcess:
    """In the place of `ArmProcess`: the arm's process in this one."""

    def __init__(self, rig, record, task):
        self.block = SharedBlock.create()
        inside = SharedBlock.attach(os.dup(self.block.fd))
        self.block.close_fd()
        self.process, self.pid, self.ending = self, rig.now_ns(), None
        self._rig = rig
        latch = FaultLatch(record)
        latch.add(inherited(task["faults"]))
        settings = ArmSettings(rate_hz=1e9 / rig.period_ns, max_age_s=MAX_AGE_S)
        self.arm = InlineHosted(rig, rig.bus(), settings, inside, latch)

    def ask(self, do, within_s, **what):
        if self.ending is not None:
            raise DeviceError("gone")
        self.arm.skip_orders(self.block.orders)
        if do == "close":
            self.arm.close()
            return self.arm.farewell
        self.arm.perform({"do": do, **what})
        return ""

    def kill(self, why="The arm's process ended with code -9."):
        """SIGKILL: the loop ends in the midst of whatever it does; the memory stays as it is."""
        if self.ending is None:
            self.ending, self._rig._arm = why, None

    def wait_open(self, timeout_s):
        """It is."""

    def ends_within(self, timeout_s):
        self._rig._arm = None
        return True


class InlineArm(ProcessArm):
    """The session's end of the arm."""

    def __init__(self, rig, record):
        self._rig, self._record = rig, record
        super().__init__("none", {}, 6, MAX_AGE_S)

    def _new_process(self, task):
        return InlineProcess(self._rig, self._record, task)


class HeldRobot:
    """The robot, what happens to it, and the watch over it.

    Args:
        folder: Of its records.
        rate_hz: Control cycles per second; fewer are played sooner.

    Attributes:
        standing: id -> monotonic ns since which it stands, by what was seen of it and which words were said.
        looks: Cycles in which goals had to stand and were compared.
    """

    def __init__(self, folder, rate_hz=100.0):
        self.folder = folder
        self.rig = Rig(pose=NEARLY_ASLEEP)
        self.rig.period_ns = round(1e9 / rate_hz)
        self._brakes_ticks = (BRAKES_RAD + 2 * FASTEST_RAD_S / rate_hz) / TICK  # it is heard within two cycles
        self.standing, self.known, self.cleared, self._inherited = {}, {}, set(), set()
        self._shown, self.looks = (), 0
        self._clock = SimpleNamespace(monotonic_ns=self.rig.now_ns, monotonic=lambda: self.rig.now_ns() / 1e9)
        self._before = process_arm.time, hosting.time
        process_arm.time = hosting.time = self._clock
        self._begin = self._goals = None
        self.arm = self.env = None
        self.rig.watch = self.look
        self.connect()

    def close(self):
        """The end of the sequence."""
        process_arm.time, hosting.time = self._before
        self.rig.watch = None

    # -- what happens -------------------------------------------------------------------------------
    def connect(self):
        """A session opens the arm, as after a restart of whatever had ended; False when it can't."""
        self._inherited |= set(self.standing)  # not even a rest begins to move anew
        latch = FaultLatch(self.folder / "run.json")
        try:
            self.arm = InlineArm(self.rig, self.folder / "arm.json")
        except RegraspError:
            self.arm = self.env = self.rig._arm = None
            return False
        spec = RobotSpec(cameras={}, joints=MODEL.joints)
        self.env = RobotEnv(self.arm, {}, self.rig, spec, model=MODEL, max_age_s=1.0)
        self.env.adopt(latch)
        self.look()
        return True

    def kill_session(self):
        """SIGKILL of the session: the arm's process holds and hands the arm over; nobody else remembers."""
        if self.arm is None:
            return
        process = self.arm._process
        self.arm = self.env = None
        if process.ending is not None:
            return
        if not process.arm.faults:
            process.arm.hold()
        self.wait(0.3)
        with suppress(RegraspError):
            process.arm.leave()
        self.rig._arm = None

    def kill_arm(self):
        """SIGKILL of the arm's process."""
        if self.arm is not None:
            self.arm._process.kill()
            self.look()

    def kill_both(self):
        """SIGKILL of all at once: only the records are left."""
        if self.arm is not None:
            self.arm._process.kill()  # before the session sees it
        self.arm = self.env = None

    def wait(self, seconds):
        """Time passes."""
        self.rig.wait(seconds)

    def hold(self, who):
        """A person says hold, here or before there is a robot."""
        latch = FaultLatch(self.folder / "run.json") if self.env is None else self.env.safety.faults
        fault = latch.trip(f"{who} said hold", "hold")
        self.note([fault])
        return fault

    def clear(self, ids):
        """A person's word; whether it was taken."""
        if self.env is None:
            return False
        try:
            self.env.clear_faults("Ada", ids)
        except RegraspError:
            return False
        self.cleared |= set(ids)
        for one in ids:
            self.standing.pop(one, None)
        return True

    # -- the watch ----------------------------------------------------------------------------------
    def note(self, faults):
        """These were seen to stand."""
        for fault in faults:
            if fault.id not in self.known and fault.id not in self.cleared:
                self.known[fault.id] = fault
                self.standing[fault.id] = self.rig.now_ns()
                for id, other in list(self.known.items()):  # said again, or another text for the same cause
                    inherited = other.kind == "rest" and id in self._inherited  # a fault of its own by now
                    if id != fault.id and not inherited and (other.kind, other.key) == (fault.kind, fault.key):
                        self.standing.pop(id, None)

    def look(self):
        """After every cycle: what stood stands, and no goal moves that must not."""
        rig = self.rig
        faults = self.env.faults if self.env is not None else ()
        if faults != self._shown:
            self._shown = faults
            self.note(faults)
        if self.env is not None:
            gone = set(self.standing) - {fault.id for fault in faults}
            if gone:
                raise UnwantedMotionError(f"{[self.known[id] for id in gone]} stood and is gone without a word")
        since = [t for id, t in self.standing.items() if self.known[id].kind != "rest" or id in self._inherited]
        if not since:
            self._begin = self._goals = None
            return
        goals = {servo: one.memory.get("goal_position") for servo, one in rig.servos.items() if one.torque}
        if self._begin is None:
            self._begin, self._goals = (rig.now_ns(), goals), goals
        began, first = self._begin
        for servo, ticks in goals.items():
            before = self._goals.get(servo, ticks)
            if ticks == before or self._towards(servo, before, ticks):
                continue
            if rig.now_ns() - began > STOPS_NS or abs(ticks - first.get(servo, ticks)) > self._brakes_ticks:
                raise UnwantedMotionError(
                    f"servo {servo} went from {before} to {ticks} {(rig.now_ns() - began) / 1e9:.2f} s after something "
                    f"came to stand, mode {self.arm and self.arm.mode}: {[self.known[id] for id in self.standing]}"
                )
        self._goals |= goals
        self.looks += 1

    def _towards(self, servo, before, ticks):
        """Whether the goal comes nearer to where the joint is: a servo doesn't move by that, it pushes less."""
        here = self.rig.servos[servo].memory.get("present_position")
        return abs(ticks - here) <= abs(before - here) and min(before, here) - 2 <= ticks <= max(before, here) + 2
