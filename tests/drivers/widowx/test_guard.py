"""The guard's judgement on made-up readings: what rests, what is a fault, and when."""

import re

import pytest

from drivers.dynamixel.cycle import ServoHealth, ServoState
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import WX250S
from drivers.widowx.guard import Guard, Level
from drivers.widowx.reading import Reading, arm_state
from drivers.widowx.settings import GuardLimits
from robot.control.faults import FaultLatch

STEP = 10_000_000
HEALTHY = ServoHealth(True, False, 12.0, 40)


def state(servo, part=0.0, position=0.1, error=0, health=HEALTHY):
    table = WX250S.place(servo).table
    current = None if table.current_unit_a is None else part * table.stall_current_a
    load = part if current is None else None
    return ServoState(servo, 0, position, 0.0, current, load, HardwareError(error), bool(error), health)


def reading(skip=(), restarted=(), **changes):
    states = {s: state(s) for s in WX250S.servos if s not in skip and s not in restarted}
    for name, change in changes.items():
        states[int(name[1:])] = state(int(name[1:]), **change)
    return Reading(states, tuple(skip), tuple(restarted))


class Bench:
    """A guard and its time."""

    def __init__(self, **limits):
        self.now = 0
        self.latch = FaultLatch()
        self.guard = Guard(WX250S, GuardLimits(**limits), 0, self.latch)

    def clear(self):
        """A person clears what stands, and the servos are taken over."""
        self.latch.clear("Ada", [fault.id for fault in self.latch.standing])
        self.guard.restart(self.now)

    def run(self, seconds, **what):
        for _ in range(round(seconds * 1e9 / STEP)):
            self.now += STEP
            verdict = self.guard.update(reading(**what), self.now)
        return verdict


def test_all_well():
    assert Bench().run(5.0) == (Level.OK, "")


@pytest.mark.parametrize(
    ("bit", "words"),
    [
        (HardwareError.OVERLOAD, "overload.*take away what it pushes"),
        (HardwareError.OVERHEATING, "overheating.*cool"),
        (HardwareError.SHOCK, "shock.*short circuit"),
        (HardwareError.VOLTAGE, "voltage.*power supply"),
        (HardwareError.ENCODER, "encoder.*replace"),
    ],
)
def test_error_bits_are_named_with_servo_joint_and_advice(bit, words):
    bench = Bench()
    level, reason = bench.run(0.01, s3={"error": int(bit)})
    assert level is Level.FAULT
    assert reason.startswith("Servo 3 (shoulder_shadow, joint shoulder) reports ")
    assert re.search(words, reason)
    assert bench.run(1.0) == (Level.FAULT, reason)  # latched
    bench.clear()
    assert bench.run(1.0).level is Level.OK


@pytest.mark.parametrize(("part", "ok_s", "rest_s"), [(0.75, 1.45, 1.6), (-0.95, 0.95, 1.1)])
def test_sustained_load_rests_in_time(part, ok_s, rest_s):
    assert Bench().run(ok_s, s4={"part": part}).level is Level.OK
    level, reason = Bench().run(rest_s, s4={"part": part})
    assert level is Level.REST
    assert "Servo 4 (elbow) carried" in reason
    assert Bench().run(20.0, s4={"part": 0.68}).level is Level.OK


def test_short_peaks_are_forgiven():
    bench = Bench()
    for _ in range(20):
        assert bench.run(0.3, s8={"part": 0.95}).level is Level.OK
        bench.run(0.4)


def test_load_in_spite_of_resting_is_a_fault():
    bench = Bench()
    assert bench.run(1.6, s4={"part": 0.8}).level is Level.REST
    assert bench.run(1.3, s4={"part": 0.8}).level is Level.REST  # its full time anew
    level, reason = bench.run(0.3, s4={"part": 0.8})
    assert level is Level.FAULT
    assert "in spite of resting" in reason


def test_heat_rests_before_the_servos_own_limit_and_does_not_escalate():
    hot = ServoHealth(True, False, 12.0, 64)
    assert Bench().run(10, s1={"health": hot}).level is Level.OK  # an XM trips at 80
    bench = Bench()
    assert bench.run(1.9, s9={"health": hot}).level is Level.OK  # an XL at 72
    level, reason = bench.run(0.3, s9={"health": hot})
    assert level is Level.REST
    assert "Servo 9 (gripper) is 64 C hot and would trip at 72" in reason
    assert bench.run(60, s9={"health": hot}).level is Level.REST


@pytest.mark.parametrize("volts", [9.9, 14.5])
def test_a_bad_supply_rests(volts):
    health = ServoHealth(True, False, volts, 40)
    assert Bench().run(0.4, s1={"health": health}).level is Level.OK
    level, reason = Bench().run(0.7, s1={"health": health})
    assert level is Level.REST
    assert f"{volts:.1f} V" in reason


def test_a_silent_servo_is_a_fault_after_a_while():
    bench = Bench()
    assert bench.run(0.14, skip=(5,)).level is Level.OK
    assert bench.run(1.0).level is Level.OK
    level, reason = bench.run(0.2, skip=(5,))
    assert level is Level.FAULT
    assert "Servo 5 (elbow_shadow, joint elbow) hasn't answered" in reason


def test_servos_that_fall_silent_together_are_one_fault_with_one_advice():
    level, reason = Bench().run(0.3, skip=(7, 8, 9))
    assert level is Level.FAULT
    assert reason.startswith(
        "Servo 7 (wrist_angle), Servo 8 (wrist_rotate), Servo 9 (gripper) haven't answered for 0.1"
    )
    assert reason.count("then clear it") == 1
    bench = Bench()
    level, reason = bench.run(0.3, skip=WX250S.servos)
    assert level is Level.FAULT
    assert reason.startswith("No servo has answered in time for 0.1")
    assert "Servo" not in reason
    assert reason.count("then clear it") == 1
    assert bench.run(1.0) == (Level.FAULT, reason)  # latched
    bench.clear()
    assert bench.run(1.0).level is Level.OK


def test_when_all_fall_silent_within_a_moment_none_is_picked_out():
    bench = Bench()
    bench.run(0.05, skip=(1,))
    _, reason = bench.run(0.3, skip=WX250S.servos)
    assert reason.startswith("No servo has answered")


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ({"restarted": (3,)}, "restarted"),
        ({"s3": {"health": HEALTHY._replace(watchdog_tripped=True)}}, "watchdog"),
        ({"s3": {"health": HEALTHY._replace(torque=False)}}, "no torque"),
    ],
)
def test_lost_torque_settings_and_watchdogs_are_faults_at_once(what, word):
    level, reason = Bench().run(0.01, **what)
    assert level is Level.FAULT
    assert "Servo 3" in reason
    assert word in reason


def test_servos_of_a_joint_that_drift_apart_are_a_fault():
    assert Bench().run(5, s3={"position": 0.18}).level is Level.OK
    assert Bench().run(0.15, s3={"position": 0.3}).level is Level.OK
    level, reason = Bench().run(0.3, s3={"position": 0.3})
    assert level is Level.FAULT
    assert "+0.20 rad more than servo 2" in reason


def test_several_faults_are_all_told_and_a_key_only_once():
    bench = Bench()
    _, reason = bench.run(0.5, s1={"error": 32}, s7={"error": 4})
    assert reason.count("Servo 1") == 1
    assert reason.count("Servo 7") == 1
    bench.guard.trip("port", "gone")
    bench.guard.trip("port", "back")
    assert bench.guard.verdict.reason.endswith("back")


def test_the_joint_state_is_as_old_as_its_oldest_servo():
    states = {s: state(s)._replace(t_ns=100 + s) for s in WX250S.servos}
    states[5] = states[5]._replace(t_ns=7)
    assert arm_state(WX250S, states, 350).t_ns == 7
    states[9] = state(9, part=-0.2)
    assert arm_state(WX250S, states, 350).gripper_effort == pytest.approx(0.2 * 885 / 350)
    states[9] = state(9, part=-0.9)
    assert arm_state(WX250S, states, 350).gripper_effort == 1.0
