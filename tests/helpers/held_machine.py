"""What may happen to a robot with people around it, in any order (`hypothesis.stateful`)."""

import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drivers.dynamixel.messages import HardwareError
from helpers.held_robot import NEARLY_ASLEEP, HeldRobot
from trajectories.errors import RegraspError

SERVOS = st.integers(1, 9)
ERRORS = [HardwareError.OVERLOAD, HardwareError.OVERHEATING, HardwareError.SHOCK]
INTERRUPTIONS = st.sampled_from(["hold", "overload", "unplug", "kill"])
SOON = st.floats(0.01, 0.6)


def machine(folder, counts, rate_hz=100.0):
    """A machine for `run_state_machine_as_test`.

    Args:
        folder: Where records may lie.
        counts: Gets the numbers of sequences, cycles looked at, and of what happened.
        rate_hz: Control cycles per second.
    """

    def count(what, number=1):
        counts[what] = counts.get(what, 0) + number

    class People(RuleBasedStateMachine):
        """Steps are short, so that much falls into the midst of other things."""

        def __init__(self):
            super().__init__()
            self.folder = Path(mkdtemp(dir=folder))
            self.robot = HeldRobot(self.folder, rate_hz)
            self.seen = []

        def teardown(self):
            count("sequences")
            count("looks", self.robot.looks)
            count("instances", len(self.robot.known))
            count("cleared", len(self.robot.cleared))
            self.robot.close()
            shutil.rmtree(self.folder)

        def has_session(self):
            return self.robot.env is not None

        # -- who moves the arm ----------------------------------------------------------------------
        @precondition(has_session)
        @rule(away=st.lists(st.floats(-0.5, 0.5), min_size=6, max_size=6), width=st.floats(0.0, 0.074), seconds=SOON)
        def command(self, away, width, seconds):
            with suppress(RegraspError):
                self.robot.arm.send(self.robot.rig.command(np.array(NEARLY_ASLEEP) + away, width))
                count("commands")
            self.robot.wait(seconds)

        @precondition(has_session)
        @rule(action=st.lists(st.floats(-1, 1), min_size=7, max_size=7), anew=st.booleans())
        def act(self, action, anew):
            """A policy acts, or a person who has just taken over."""
            with suppress(RegraspError):
                if anew:
                    self.robot.env.resync()
                self.robot.env.apply(np.array(action, dtype=np.float32))
                count("actions")

        @precondition(has_session)
        @rule(joint=st.integers(0, 5), away=st.sampled_from([-0.5, 0.5]), seconds=SOON, later=SOON)
        def be_told_to_hold_in_motion(self, joint, away, seconds, later):
            goal = np.array(NEARLY_ASLEEP)
            goal[joint] += away
            with suppress(RegraspError):
                self.robot.arm.send(self.robot.rig.command(goal, 0.0 if joint % 2 else 0.07))
                count("commands")
            self.robot.wait(seconds)
            self.robot.hold("Ida")
            self.robot.wait(later)
            count("holds in motion")

        @precondition(has_session)
        @rule(away=st.sampled_from([-0.5, 0.5]), later=st.floats(0.9, 2.4), then=INTERRUPTIONS | st.just("restart"))
        def fold_up_by_itself_and_be_interrupted(self, away, later, then):
            """A supply that sags makes it rest after half a second; then it relaxes, then it folds up."""
            goal = np.array(NEARLY_ASLEEP)
            goal[0] += away
            with suppress(RegraspError):
                self.robot.arm.send(self.robot.rig.command(goal))
            self.robot.wait(0.4)
            self.robot.rig.virtual.supply_v = 10.0
            self.robot.wait(later)
            self.strike(then)
            self.robot.wait(0.1)
            if not self.has_session():
                self.start()
            self.robot.wait(1.5)
            count("rests")

        @precondition(has_session)
        @rule(seconds=SOON)
        def begin_to_sleep(self, seconds):
            with suppress(RegraspError):
                self.robot.arm._process.arm._do(self.robot.arm._process.arm._loop.start_sleeping)
                count("sleeps")
            self.robot.wait(seconds)

        @precondition(has_session)
        @rule(later=st.floats(0.0, 1.0), then=INTERRUPTIONS)
        def wake_and_be_interrupted(self, later, then):
            robot, due = self.robot, self.robot.rig.now_ns() + later * 1e9
            look = robot.rig.watch

            def watch():
                look()
                if robot.rig.now_ns() >= due and robot.rig.watch is watch:
                    robot.rig.watch = look
                    self.strike(then)

            robot.rig.watch = watch
            with suppress(RegraspError):
                robot.env.wake()
                count("wakes")
            robot.rig.watch = look

        def strike(self, what):
            if what == "hold":
                self.robot.hold("Eve")
            elif what == "overload":
                self.robot.rig.servos[2].protection.forced = HardwareError.OVERLOAD
            elif what == "unplug":
                self.robot.rig.port.unplugged = True
            elif what == "kill":
                self.robot.kill_arm()
            else:
                self.robot.kill_both()

        @precondition(has_session)
        @rule()
        def stop_following(self):
            with suppress(RegraspError):
                self.robot.arm.hold()

        @rule(seconds=st.floats(0.01, 1.2))
        def silence(self, seconds):
            self.robot.wait(seconds)

        # -- people ---------------------------------------------------------------------------------
        @rule(who=st.sampled_from(["Eve", "Ben"]))
        def hold(self, who):
            self.robot.hold(who)
            count("holds")

        @precondition(has_session)
        @rule(later=SOON, again=st.booleans())
        def two_say_hold_and_one_of_them_is_cleared(self, later, again):
            first = self.robot.hold("Eve")
            self.robot.wait(later)
            self.robot.hold("Eve" if again else "Ben")
            self.robot.wait(later)
            count("words taken" if self.robot.clear([first.id]) else "words refused")

        @precondition(lambda self: self.has_session() and self.seen)
        @rule(data=st.data())
        def clear(self, data):
            ids = data.draw(st.lists(st.sampled_from(self.seen), min_size=1, unique=True))
            count("words taken" if self.robot.clear(ids) else "words refused")

        @precondition(lambda self: self.has_session() and self.robot.standing)
        @rule(repaired=st.booleans())
        def look_and_clear_everything(self, repaired):
            if repaired:
                self.repair()
            ids = [fault.id for fault in self.robot.env.faults]
            if ids:
                count("words taken" if self.robot.clear(ids) else "words refused")

        # -- what fails -----------------------------------------------------------------------------
        @rule(
            servo=SERVOS,
            error=st.sampled_from([HardwareError.OVERLOAD, HardwareError.OVERHEATING, HardwareError.SHOCK]),
        )
        def trip(self, servo, error):
            self.robot.rig.servos[servo].protection.forced = error
            self.robot.wait(0.03)
            count("trips")

        @rule(servo=SERVOS, celsius=st.sampled_from([30.0, 67.0, 76.0]))
        def heat(self, servo, celsius):
            protection = self.robot.rig.servos[servo].protection
            protection.temperature_c, protection.cooling_s = celsius, 1e9

        @rule(joint=st.integers(0, 5), blocked=st.booleans())
        def block(self, joint, blocked):
            self.robot.rig.motors.blocked = {joint} if blocked else set()

        @rule(volts=st.sampled_from([4.0, 10.0, 12.0]))
        def supply(self, volts):
            self.robot.rig.virtual.supply_v = volts
            self.robot.wait(0.05)

        @rule(seconds=SOON)
        def heal(self, seconds):
            self.repair()
            self.robot.wait(seconds)

        def repair(self):
            rig = self.robot.rig
            rig.motors.blocked, rig.virtual.supply_v, rig.port.unplugged = set(), 12.0, False
            for servo in rig.servos.values():
                servo.protection.forced, servo.protection.temperature_c = HardwareError(0), 30.0

        @rule(unplugged=st.booleans())
        def plug(self, unplugged):
            self.robot.rig.port.unplugged = unplugged
            count("unplugged", unplugged)

        # -- processes ------------------------------------------------------------------------------
        @precondition(has_session)
        @rule(whom=st.sampled_from(["arm", "session", "both"]), at_once=st.booleans())
        def kill(self, whom, at_once):
            {"arm": self.robot.kill_arm, "session": self.robot.kill_session, "both": self.robot.kill_both}[whom]()
            count("kills")
            if at_once and not self.has_session():
                self.start()

        @precondition(lambda self: not self.has_session())
        @rule(repaired=st.booleans())
        def start_again(self, repaired):
            if repaired:
                self.repair()
            self.start()

        def start(self):
            count("starts", self.robot.connect())
            self.robot.wait(0.05)

        @precondition(has_session)
        @rule(hold_after=st.one_of(st.none(), st.floats(0.0, 0.8)), at_once=st.booleans())
        def close(self, hold_after, at_once):
            """The session ends in good order; perhaps somebody says hold while the arm folds up."""
            robot, look = self.robot, self.robot.rig.watch
            due = robot.rig.now_ns() + (hold_after or 0.0) * 1e9

            def watch():
                look()
                if hold_after is not None and robot.rig.now_ns() >= due and robot.rig.watch is watch:
                    robot.rig.watch = look
                    robot.hold("Eve")

            robot.rig.watch = watch
            robot.arm.close()
            robot.rig.watch = look
            robot.arm = robot.env = robot.rig._arm = None
            count("closings")
            if at_once:
                self.start()

        @invariant()
        def nothing_that_stood_is_gone(self):
            self.robot.look()
            if self.has_session():
                now = [fault.id for fault in self.robot.env.faults]
                self.seen = list(dict.fromkeys([*self.seen[-3:], *now]))  # some of them are over

    return People
