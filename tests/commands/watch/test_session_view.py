"""What a real session shows: on the drivers, with virtual servos, and in the twin."""

import os
import signal
import threading
import time
from contextlib import suppress
from typing import get_args

import numpy as np
import pytest
from helpers.session_setup import CountingJudge, WalkingPolicy
from hydra import compose, initialize_config_module

from commands.attendance import attended
from commands.watch.session_view import SessionView
from factory.robot import open_station
from factory.virtual_robot import world_settings
from robot.console.client import ConsoleClient
from robot.console.light import SILENT_S, WARM_C, light_of
from robot.console.state import ConsoleState
from robot.console.wire import console_path
from robot.control.faults import FaultLatch
from robot.fleet import ActorReport
from robot.rollout.actor_status import ActorStatus, State
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.recovery import Recovery
from robot.rollout.session import ResetFreeSession
from robot.rollout.session_step import SessionStep
from sim.virtual.client import VirtualWorld
from trajectories.errors import StoppedError
from trajectories.types import Source

ELBOW, LIMIT_C = 4, 80.0


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("actor", overrides=["robot.image_size=32", *overrides])


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return value


class HangingPolicy(WalkingPolicy):
    """Hangs while `go` is not set; ends the session when `stop` is."""

    def __init__(self, stop):
        super().__init__(0.2)
        self.stop = stop
        self.go, self.hangs = threading.Event(), threading.Event()
        self.go.set()

    def act(self, observation, deterministic=False):
        if not self.go.is_set():
            self.hangs.set()
        self.go.wait(120)
        if self.stop.is_set():
            raise StoppedError("the test is over")
        return super().act(observation, deterministic)


def view_of(station, stop):
    """A view that is attached to the station, as in a session."""
    latch = FaultLatch()
    station.env.adopt(latch)
    view = SessionView("pot", 3, latch, stop)
    view.attach(station, Recovery(station.env, station.operator, print, stop))
    return view


class Running:
    """A session of an attended robot in a thread of its own."""

    def __init__(self, around, folder, stop, steps):
        self.station, self.stop, self.policy = around.station, stop, HangingPolicy(stop)
        session = ResetFreeSession(
            self.station.env,
            self.policy,
            CountingJudge(lambda _: None),
            "pot_pick_place",
            self.station.instructions,
            self.station.operator,
            rng=np.random.default_rng(0),
            on_step=around.view.on_step,
            max_steps=steps,
        )
        self.session = RecoveringSession(session, around.recovery)
        self.client = ConsoleClient(console_path(folder))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with suppress(StoppedError):
            while not self.stop.is_set():
                self.session.run_episode()

    def state(self):
        return ConsoleState.from_dict(self.client.state())

    def light(self, after_s=0.0):
        """Of the state as it comes over the socket, when so many seconds more had passed."""
        state = self.state()
        return light_of(state, time.time() + after_s)

    def close(self):
        self.stop.set()
        self.policy.go.set()
        self.thread.join(60)


@pytest.fixture(scope="module")
def on_drivers(tmp_path_factory):
    """On the virtual arm, whose driver rests only 1 degree below a servo's limit."""
    overrides = ["robot=virtual", "+robot.arm.guard.temperature_margin_c=1.0", "+robot.arm.max_age_s=1.0"]
    with VirtualWorld.start(world_settings(settings(*overrides))) as world:
        config = settings(*overrides, "robot.max_age=1.0", f"robot.world={world.folder}")
        folder, stop = tmp_path_factory.mktemp("run"), threading.Event()
        with attended(config, folder, lambda line: None, stop, max_steps=400) as around:
            running = Running(around, folder, stop, 400)
            running.world = world
            until(lambda: running.state().step >= 3)
            yield running
            running.close()


def test_servos_are_shown_with_the_limits_of_the_arm(on_drivers):
    servos = {servo.name: servo for servo in until(lambda: on_drivers.state().servos)}
    assert len(servos) == 9
    assert servos["elbow"].temperature_limit == LIMIT_C
    assert servos["gripper"].temperature_limit == 72.0
    assert on_drivers.light().level == "green"


def test_a_hot_servo_is_seen_before_the_arm_rests(on_drivers):
    on_drivers.world.fault("overheating", servo=ELBOW, celsius=79 - WARM_C / 2)
    light = until(lambda: (seen := on_drivers.light()).title == "HOT" and seen)
    assert (light.level, "elbow has" in light.text, "its limit is 80 °C" in light.text) == ("amber", True, True)
    on_drivers.world.fault("overheating", servo=ELBOW, celsius=30.0)
    until(lambda: on_drivers.light().level == "green")


def test_a_session_that_hangs_is_not_shown_as_well(on_drivers):
    on_drivers.policy.go.clear()
    assert on_drivers.policy.hangs.wait(60)
    first = on_drivers.state().updated_s
    for _ in range(3):  # asking is no sign of life
        time.sleep(0.05)
        assert on_drivers.state().updated_s == pytest.approx(first, abs=0.01)
    light = on_drivers.light(after_s=SILENT_S)
    assert (light.level, light.title) == ("amber", "NO NEWS")
    on_drivers.policy.go.set()
    until(lambda: on_drivers.state().updated_s > first + 0.2)
    assert on_drivers.light().level == "green"


def test_an_arm_whose_loop_hangs_is_not_shown_as_well(on_drivers):
    on_drivers.policy.go.clear()  # so that it is not the session that notices
    assert on_drivers.policy.hangs.wait(60)
    on_drivers.policy.hangs.clear()
    pid = on_drivers.station.arm.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        state = until(lambda: (seen := on_drivers.state()).stale and seen)
        assert "joint state is" in state.stale
        assert state.joints == ()
        light = light_of(state, state.updated_s)
        assert (light.level, light.title) == ("amber", "NO NEWS")
    finally:
        os.kill(pid, signal.SIGCONT)
        until(lambda: on_drivers.state().stale is None)
        on_drivers.policy.go.set()


def test_in_the_twin_too_the_stamp_is_the_control_loops():
    with open_station(settings(), lambda line: None) as station:
        stop = threading.Event()
        view = view_of(station, stop)
        station.prepare("forward", np.random.default_rng(3))
        session = ResetFreeSession(
            station.env,
            WalkingPolicy(0.2),
            CountingJudge(lambda _: None),
            "pot",
            station.instructions,
            station.operator,
            rng=np.random.default_rng(0),
            on_step=view.on_step,
            max_steps=3,
        )
        session.run_episode()
        stamp = view.state()["updated_s"]
        time.sleep(0.1)
        assert view.state()["updated_s"] == pytest.approx(stamp, abs=0.01)
        assert light_of(ConsoleState.from_dict(view.state()), stamp + SILENT_S + 1).title == "NO NEWS"
        for move in (station.env.wake, lambda: station.env.go_home(np.random.default_rng(0))):  # it lives then, too
            stamp, before = view.state()["updated_s"], time.monotonic_ns()
            move()
            assert station.env.beat_ns > before
            assert view.state()["updated_s"] > stamp


def test_a_session_that_waits_for_its_learner_lives_and_says_that_nobody_acts():
    with open_station(settings(), lambda line: None) as station:
        stop = threading.Event()
        view = view_of(station, stop)
        view.on_step(SessionStep(station.env.observe(), "forward", 2, Source.POLICY, 0.1))
        view.on_status(ActorStatus("run", "acting"))
        assert view.state()["acting"] == "policy"
        first = view.state()["updated_s"]
        time.sleep(0.1)
        view.on_status(ActorStatus("run", "waiting"))
        state = ConsoleState.from_dict(view.state())
        assert state.updated_s > first + 0.05
        assert light_of(state, time.time()).text == "Nobody acts."


def test_an_actor_tells_its_learner_what_stands_and_what_it_asks_for():
    with open_station(settings(), lambda line: None) as station:
        view = view_of(station, threading.Event())
        assert view.report() == ActorReport("starting")
        station.operator.waiting_for = "Put the cube in the bin, then say ready."
        assert view.report() == ActorReport("asks", "Put the cube in the bin, then say ready.")
        station.operator.waiting_for = None
        view.on_status(ActorStatus("run", "acting", outbox=1, helps={"lost": 2}, policy_version=3, weights_refused=1))
        assert view.report() == ActorReport("acting", "", 3, 1, 1, {"lost": 2})
        station.operator.waiting_for = "Put the cube back, then say ready."
        assert (view.report().state, view.report().detail) == ("asks", "Put the cube back, then say ready.")
        view.words["hold"]("Anna")
        held = view.report()
        assert (held.state, "Anna said hold" in held.detail) == ("holds", True)
        told = []
        for state in get_args(State):
            view.on_status(ActorStatus("run", state))
            told.append((state, view.report().state))
        ended = ("stopped", "finished", "failed")
        assert told == [(state, state if state in ended else "holds") for state in get_args(State)]
        view._status = None
        assert view.report().state == "holds"


def test_while_its_robot_opens_an_actor_asks_for_nobody_unless_something_stands():
    latch = FaultLatch()
    view = SessionView("pot", 3, latch, threading.Event())
    assert view.report() == ActorReport("starting", "the robot is being opened")
    latch.trip("Eve said hold", "hold")
    assert view.report().state == "holds"


def test_a_robot_of_a_package_outside_may_report_less():
    with open_station(settings(), lambda line: None) as station:
        stop = threading.Event()
        view = view_of(station, stop)
        station.figures = lambda: {"arm": {"mode": "follow", "fault": None, "pid": 7}, "cameras": {}}
        state = view.state()
        assert (state["mode"], state["servos"], state["loop"], state["cameras"]) == ("follow", (), None, {})
