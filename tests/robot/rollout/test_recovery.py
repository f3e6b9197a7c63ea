"""Faults in a session: what was recorded is kept, a person clears, stale data are waited for."""

import threading

import numpy as np
import pytest
from helpers.kinematic_arm import make_env

from robot.control.faults import Clearance, reason_of
from robot.rollout.operator import PersonOperator
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.recovery import Recovery
from robot.rollout.session import ResetFreeSession
from trajectories.errors import ConfigError, SafetyError, StaleDataError, StoppedError
from trajectories.types import Source

INSTRUCTIONS = {"forward": ("put it in",), "backward": ("take it out",)}


class Operator:
    """Clears everything that it is asked for under one name, or does what it is told instead."""

    def __init__(self, on_recover=lambda: "Anna"):
        self.reasons, self.on_recover, self.resumed = [], on_recover, []

    def trouble(self):
        return None

    def help(self, reason, direction):
        raise AssertionError("nobody should have asked")

    def recover(self, faults):
        self.reasons.append(reason_of(faults))
        return Clearance(self.on_recover(), tuple(fault.id for fault in faults))

    def resume(self, reason):
        self.resumed.append(reason)


def make(on_recover=lambda: "Anna", most=10):
    env, arm, _ = make_env()
    told, stop, operator = [], threading.Event(), Operator(on_recover)
    return env, arm, Recovery(env, operator, told.append, stop, most), operator, told, stop


def test_a_latched_fault_is_cleared_by_the_person_who_looked():
    env, arm, recovery, operator, told, _ = make()
    env.safety.trip("something broke")
    recovery.after(SafetyError("the arm holds"))
    assert env.fault is None
    assert operator.reasons == ["something broke"]
    assert arm.holds >= 1
    assert "the arm holds" in told[0]
    assert recovery.counts == {"SafetyError": 1}
    assert recovery.waiting_for is None


def test_a_person_without_a_name_does_not_clear_it():
    names = iter(["", "  ", "Anna"])
    env, _, recovery, operator, _, _ = make(lambda: next(names))
    env.safety.trip("something broke")
    recovery.after(SafetyError("x"))
    assert len(operator.reasons) == 3
    assert env.fault is None


def test_stale_data_are_waited_for_without_a_person():
    env, arm, recovery, operator, _, _ = make()
    arm.age_ns = 10**9
    healed = threading.Timer(0.3, lambda: setattr(arm, "age_ns", 0))
    healed.start()
    recovery.after(StaleDataError("the camera is away"))
    assert operator.reasons == []
    assert operator.resumed == ["the camera is away"]
    assert env.observe().t_ns["joints"] > 0


def test_a_slow_camera_with_a_fresh_frame_now_and_then_does_not_let_it_go_on():
    _, arm, recovery, _, told, _ = make()
    healed = threading.Event()
    looks = []

    def age():
        looks.append(healed.is_set())
        return 0 if healed.is_set() or len(looks) % 3 else 10**9

    read = arm.read
    arm.read = lambda: (setattr(arm, "age_ns", age()), read())[1]
    threading.Timer(1.5, healed.set).start()
    recovery.after(StaleDataError("the camera is slow"))
    assert looks[-1]
    assert told == ["The arm holds. the camera is slow", "The robot goes on."]


def test_stale_data_with_a_fault_behind_them_are_told_by_the_fault():
    env, _, recovery, operator, told, _ = make()
    env.safety.trip("servo 7 is silent")
    recovery.after(StaleDataError("the joint state is old"))
    assert operator.reasons == ["servo 7 is silent"]
    assert told[0] == "The session waits. the joint state is old"


def test_a_stop_ends_the_waiting():
    _, arm, recovery, _, _, stop = make()
    arm.age_ns = 10**9
    stop.set()
    with pytest.raises(StoppedError):
        recovery.after(StaleDataError("the camera is away"))


def test_too_many_failures_in_a_row_are_raised():
    _, _, recovery, _, told, _ = make(most=2)
    recovery.after(SafetyError("one"))
    recovery.after(SafetyError("two"))
    with pytest.raises(SafetyError, match="three"):
        recovery.after(SafetyError("three"))
    assert "giving up" in told[-1]
    recovery.succeeded()
    recovery.after(SafetyError("four"))
    assert recovery.counts["SafetyError"] == 4


class Policy:
    """Stays where it is."""

    version = 0

    def act(self, observation, deterministic=False):
        return np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)


class Judge:
    """Never done; trips a fault at its n-th frame."""

    def __init__(self, env, trip_at):
        self.env, self.trip_at, self.frames = env, trip_at, 0

    def reset(self, instruction):
        pass

    def update(self, observation):
        from robot.interfaces import RewardReading

        self.frames += 1
        if self.frames == self.trip_at:
            self.env.safety.trip("a person pressed the emergency hold")
        return RewardReading(0.1, False)


def test_the_session_goes_on_and_keeps_what_the_fault_cut_short():
    env, _, recovery, operator, _, _ = make()
    kept, seen = [], []
    session = ResetFreeSession(
        env, Policy(), Judge(env, 4), "pot", INSTRUCTIONS, operator, rng=np.random.default_rng(0),
        on_episode=kept.append, on_step=seen.append, max_steps=6,
    )  # fmt: skip
    attended = RecoveringSession(session, recovery)
    episode = attended.run_episode()
    assert [e.outcome for e in kept] == ["unknown", "failure"]
    assert "emergency hold" in kept[0].metadata["fault"]
    assert len(kept[0]) == 3
    assert episode is kept[1]
    assert len(episode) == 6
    assert attended.stats.episodes == 2
    assert [s.step for s in seen] == [0, 1, 2, 3, *range(7)]
    assert {s.source for s in seen} == {Source.POLICY}


def test_a_mistake_in_the_settings_is_no_fault_to_recover_from():
    env, _, recovery, operator, _, _ = make()

    class Wrong(Policy):
        def act(self, observation, deterministic=False):
            raise ConfigError("wrong")

    session = ResetFreeSession(
        env, Wrong(), Judge(env, 99), "pot", INSTRUCTIONS, operator, rng=np.random.default_rng(0)
    )
    with pytest.raises(ConfigError):
        RecoveringSession(session, recovery).run_episode()
    assert not recovery.counts


def answer(operator, say):
    """Say a word as soon as it is waited for; returns the answer."""
    said = []

    def wait():
        for _ in range(400):
            if operator.waiting_for is not None:
                said.append(say())
                return
            threading.Event().wait(0.01)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, said


def test_a_person_is_asked_for_help_and_says_ready():
    told = []
    operator = PersonOperator(INSTRUCTIONS, told.append, threading.Event())
    thread, said = answer(operator, lambda: operator.ready("Ben"))
    operator.help("3 failures in a row", "backward")
    thread.join(20)
    assert "take it out" in told[0]
    assert "goes on" in said[0]
    assert operator.waiting_for is None
    assert "Nobody waits" in operator.ready("")


def test_after_a_camera_was_connected_anew_the_arm_waits_for_ready():
    told, reconnects = [], [3]
    operator = PersonOperator(INSTRUCTIONS, told.append, threading.Event(), lambda: reconnects[0])
    operator.resume("the camera was slow")  # nobody was at its cable
    assert operator.trouble() is None
    assert told == []
    reconnects[0] += 1
    assert operator.trouble() == "a camera was connected anew"
    thread, said = answer(operator, lambda: operator.ready("Ben"))
    operator.resume("the image of front is 900 ms old")
    thread.join(20)
    assert said == ["Thank you; the session goes on (ready)."]
    assert "step back, and say ready" in told[0]
    assert operator.trouble() is None
    operator.resume("the camera was slow")
    assert len(told) == 1


def test_waiting_for_a_person_ends_with_the_session():
    stop = threading.Event()
    operator = PersonOperator(INSTRUCTIONS, lambda line: None, stop)
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StoppedError):
        operator.help("a new episode", "forward")
    assert operator.waiting_for is None


def in_thread(work):
    """The thread, and what `work` raised in it."""
    raised = []

    def run():
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def attended():
    """A robot whose faults nobody but a person clears."""
    env, arm, _ = make_env()
    told, stop = [], threading.Event()
    operator = PersonOperator(INSTRUCTIONS, told.append, stop)
    return env, arm, Recovery(env, operator, told.append, stop), told, stop


def until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never happened")


def test_a_persons_word_clears_what_it_names_and_nothing_else():
    env, arm, recovery, told, _ = attended()
    env.safety.trip("something broke")
    (broke,) = env.faults
    thread, raised = in_thread(lambda: recovery.after(SafetyError("it holds")))
    until(lambda: any(broke.id in line for line in told))
    hold = env.stop("Ada said hold")  # meanwhile
    assert "being cleared" in recovery.clear("Ben", [broke.id])
    until(lambda: env.faults == (hold,))
    until(lambda: any(f"fault={hold.id}`" in line for line in told))
    with pytest.raises(SafetyError, match="doesn't stand"):
        recovery.clear("Ben", [broke.id])
    with pytest.raises(SafetyError, match="gives a name"):
        recovery.clear(" ", [hold.id])
    assert thread.is_alive()
    assert arm.sent == []
    until(lambda: "being cleared" in recovery.clear("Ben", [hold.id]))
    thread.join(20)
    assert raised == []
    assert env.faults == ()
    assert recovery.clear("Ben", [hold.id]) == "Nobody waits for 'clear' now."


def test_a_hold_pressed_while_the_arm_is_being_cleared_stands():
    env, arm, _ = make_env()
    arm.fault = "servo 4 is overloaded"
    seen = [fault.id for fault in env.faults]
    holds = []

    def clear(person):  # takes seconds on the arm
        holds.append(env.stop("Ada said hold"))
        arm.fault = None

    arm.clear = clear
    env.clear_faults("Ben", seen)
    assert env.faults == tuple(holds)
    with pytest.raises(SafetyError, match="Ada said hold"):
        env.apply(np.zeros(7, dtype=np.float32))
    assert arm.sent == []


def test_a_device_without_a_screen_clears_what_was_told_and_not_what_came_within_a_second():
    env, _, recovery, _, _ = attended()
    env.stop("Ada said hold")
    thread, _ = in_thread(lambda: recovery.after(SafetyError("it holds")))
    until(lambda: recovery.clear("Ben") != "Nobody waits for 'clear' now.")
    assert "look at the arm" in recovery.clear("Ben")
    assert env.faults
    until(lambda: "being cleared" in recovery.clear("Ben"))
    thread.join(20)
    assert env.faults == ()


def test_a_stop_ends_the_waiting_for_a_word_and_what_stands_goes_on_standing():
    env, _, recovery, told, stop = attended()
    hold = env.stop("Ada said hold")
    thread, raised = in_thread(lambda: recovery.after(SafetyError("it holds")))
    until(lambda: told)
    stop.set()
    thread.join(20)
    assert [type(error) for error in raised] == [StoppedError]
    assert env.faults == (hold,)
