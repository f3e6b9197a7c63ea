"""Console and device are there before the arm and after it, and what stands is cleared before it wakes."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from helpers.kinematic_arm import make_env
from helpers.link_data import POLICY, SPEC, MemoryEndpoint
from hydra import compose, initialize_config_module

from commands import attendance
from commands.actor import announced
from commands.attendance import FAULTS_FILE, attended, latch_of, standing_of
from commands.evaluate import evaluate
from commands.finetune import Worker
from factory.evaluated_policy import PolicySource
from robot.console.client import ConsoleClient
from robot.console.wire import console_path
from robot.control.faults import read_record
from robot.fleet import ActorIdentity
from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from robot.link.server import LinkServer
from robot.rollout.actor_status import ActorStatus
from robot.rollout.operator import PersonOperator
from trajectories.errors import DeviceError, LinkError, RegraspError, SafetyError, StoppedError

INSTRUCTIONS = {"forward": ("put it in",), "backward": ("take it out",)}


def settings(folder, verb="actor"):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, [f"run_dir={folder}"])


class Table:
    """A robot in the place of the one that the settings name, and what happened around it in order."""

    def __init__(self, folder, monkeypatch):
        self.env, self.arm, _ = make_env()
        self.client = ConsoleClient(console_path(folder))
        self.events, self.told, self.stop = [], [], threading.Event()
        self.on_open = self.on_close = lambda: None
        monkeypatch.setattr(attendance, "open_station", self.open_station)
        monkeypatch.setattr(attendance, "open_takeover", self.open_takeover)

    @contextmanager
    def open_station(self, config, notify, stop):
        self.event("arm opens")
        self.on_open()
        operator = PersonOperator(INSTRUCTIONS, notify, stop)
        yield SimpleNamespace(
            env=self.env, operator=operator, wake=self.env.wake, words=lambda: {"ready": operator.ready},
            figures=dict, frames=dict, instructions=INSTRUCTIONS, referee=None,
        )  # fmt: skip
        self.on_close()
        self.event("arm closes")

    @contextmanager
    def open_takeover(self, config, faults, notify, stop, words):
        self.faults = faults
        self.event("device opens")
        yield None
        self.event("device closes")

    def event(self, what):
        self.events.append((what, self.client.listens()))

    def say_when(self, condition, word):
        """Clear everything that the console shows, or say another word, as soon as a condition holds."""

        def wait():
            while not condition():
                threading.Event().wait(0.01)
            ids = [fault["id"] for fault in self.client.state()["faults"]]
            self.sent_before = len(self.arm.sent)
            self.client.say(word, "Ada", ids)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def table(tmp_path, monkeypatch):
    return Table(tmp_path, monkeypatch)


def asked(table):
    return lambda: any("clear:" in line for line in table.told)


def around(table, folder):
    return attended(settings(folder), folder, table.told.append, table.stop, max_steps=40)


def test_console_and_device_open_before_the_arm_and_close_after_it(table, tmp_path):
    with around(table, tmp_path):
        table.event("the session runs")
    assert table.events == [
        ("device opens", True),
        ("arm opens", True),
        ("the session runs", True),
        ("arm closes", True),
        ("device closes", True),
    ]
    assert not table.client.listens()
    assert table.arm.sent  # it was woken


def test_a_hold_said_before_the_arm_is_there_keeps_it_from_waking(table, tmp_path):
    table.on_open = lambda: table.client.say("hold", "Eve")
    thread = table.say_when(asked(table), "clear")
    with around(table, tmp_path):
        thread.join(20)
        assert table.sent_before == 0
        assert table.arm.sent
        assert table.env.faults == ()
        assert "Eve said hold" in "".join(table.told)


def test_the_devices_hold_is_latched_before_the_arm_is_there(table, tmp_path):
    table.on_open = lambda: table.faults.trip("a person pressed the emergency hold", "hold")
    thread = table.say_when(asked(table), "clear")
    with around(table, tmp_path):
        thread.join(20)
        assert table.sent_before == 0


def test_a_hold_in_the_midst_of_waking_stops_it_until_the_word(table, tmp_path):
    send = table.arm.send

    def hold_once(command):
        send(command)
        if len(table.arm.sent) == 3:
            table.env.stop("Eve said hold")

    table.arm.send = hold_once
    thread = table.say_when(asked(table), "clear")
    with around(table, tmp_path):
        thread.join(20)
        assert table.sent_before == 3
        assert len(table.arm.sent) > 3


def test_what_stood_when_the_last_process_died_is_cleared_before_anything_moves(table, tmp_path):
    latch_of(tmp_path).trip("Eve said hold", "hold")
    thread = table.say_when(asked(table), "clear")
    with around(table, tmp_path):
        thread.join(20)
        assert table.sent_before == 0
    assert read_record(tmp_path / FAULTS_FILE) == ()


@contextmanager
def learner_of(table, folder):
    """Gives what a learner heard of an arm that says hello to it before it wakes."""
    endpoint, pair = MemoryEndpoint(), run_pair(folder)
    status = ActorStatus("run", outbox=2, helps={"lost": 1}, policy_version=0)
    with LinkServer(endpoint, "127.0.0.1:0", pair) as server:
        table.learner = endpoint
        with (
            LearnerClient(server.address, pair, identity=ActorIdentity("left")) as client,
            announced(client, SPEC, POLICY, status) as announce,
            attended(settings(folder), folder, table.told.append, table.stop, max_steps=40, on_view=announce),
        ):
            yield client


def told_learner(table, state):
    end = time.monotonic() + 20  # then the test fails, and needn't hang
    return lambda: time.monotonic() > end or any(report.state == state for _, report in table.learner.reports)


def test_a_learner_hears_of_an_arm_that_waits_for_the_word_before_it_wakes(table, tmp_path):
    latch_of(tmp_path).trip("Eve said hold", "hold")
    table.learner = MemoryEndpoint()
    told = told_learner(table, "holds")
    thread = table.say_when(lambda: asked(table)() and told(), "clear")
    with learner_of(table, tmp_path) as client:
        thread.join(30)
        assert table.sent_before == 0
        name, report = next(one for one in table.learner.reports if one[1].state == "holds")
        assert (name, "Eve said hold" in report.detail) == ("left", True)
        assert (report.outbox, report.resets) == (2, {"lost": 1})
        assert client.hello(SPEC, POLICY) == 0  # as it does when it begins
    assert {one.start for one in table.learner.actors} == {client._identity.start}


def test_an_arm_that_wakes_waits_for_no_learner(table, tmp_path):
    """Nor does it end because a learner refuses it: its hello says that."""
    pair = run_pair(tmp_path)
    status = ActorStatus("run")
    with (
        LearnerClient("127.0.0.1:1", pair) as client,
        announced(client, SPEC, POLICY, status) as announce,
        attended(settings(tmp_path), tmp_path, table.told.append, table.stop, max_steps=40, on_view=announce),
    ):
        assert table.arm.sent


@pytest.mark.parametrize("word", ["stop", None])
def test_why_an_actor_ends_before_it_acts_reaches_its_learner(table, tmp_path, word):
    if word is None:
        table.on_open = lambda: (_ for _ in ()).throw(DeviceError("servo 3 does not answer"))
    else:
        latch_of(tmp_path).trip("Eve said hold", "hold")
        table.say_when(asked(table), word)
    with pytest.raises(DeviceError if word is None else StoppedError), learner_of(table, tmp_path):
        pass
    last = table.learner.reports[-1][1]
    assert last.state == ("failed" if word is None else "stopped")
    assert ("DeviceError: servo 3 does not answer" in last.detail) == (word is None)
    assert (last.outbox, last.resets) == (2, {"lost": 1})


def test_a_hold_while_the_arm_closes_reaches_it(table, tmp_path):
    def hold():
        table.client.say("hold", "Eve")
        assert [fault.reason for fault in table.env.faults] == ["Eve said hold"]
        with pytest.raises(SafetyError, match="Eve said hold"):
            table.env._arm.send(table.arm.sent[-1])

    table.on_close = hold
    with around(table, tmp_path):
        pass
    assert [fault.reason for fault in read_record(tmp_path / FAULTS_FILE)] == ["Eve said hold"]


def test_a_stop_instead_of_the_word_leaves_it_standing(table, tmp_path):
    latch_of(tmp_path).trip("Eve said hold", "hold")
    table.say_when(asked(table), "stop")
    with pytest.raises(StoppedError), around(table, tmp_path):
        pass
    assert table.arm.sent == []
    assert len(read_record(tmp_path / FAULTS_FILE)) == 1


def test_an_evaluation_has_the_same_people_around_it(table, tmp_path, monkeypatch):
    words = []

    def look(*_):
        words.extend(table.client.words())
        raise RegraspError("seen")

    monkeypatch.setattr(evaluate, "judge_of", look)
    config = settings(tmp_path, "evaluate")
    plan = evaluate.Plan(PolicySource(str(tmp_path)), 1, ("stochastic",), 0, 40, 0)
    with pytest.raises(RegraspError, match="seen"):
        evaluate.evaluate_on_station(config, plan)
    assert words == ["clear", "hold", "ready", "stop"]
    assert [what for what, _ in table.events[:2]] == ["device opens", "arm opens"]


class Sleeper(Worker):
    """A worker that only waits."""

    def _start(self):
        self._starts += 1
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_a_killed_actor_is_started_again_only_when_nothing_stands(tmp_path):
    config, log = settings(tmp_path, "finetune"), tmp_path / "actor.log"
    log.touch()
    worker = Sleeper("actor", [], log, lambda: standing_of(config, tmp_path))
    try:
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        assert not worker.finished()
        assert worker.process.poll() is None  # again
        latch_of(tmp_path).trip("Eve said hold", "hold")
        assert not worker.finished()
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        with pytest.raises(RegraspError, match=r"killed \(signal 9\) while this stood: Eve said hold.*clear this"):
            worker.finished()
        assert worker.process.poll() == -signal.SIGKILL
    finally:
        worker.process.kill()
        worker.process.wait()


def test_the_arms_record_counts_too(tmp_path, monkeypatch):
    config = settings(tmp_path, "finetune")
    assert standing_of(config, tmp_path) == ()
    config = settings(tmp_path, "finetune")
    port = tmp_path / "ttyUSB0"
    os.symlink("/dev/null", port)
    from omegaconf import OmegaConf

    from drivers.hosting.record import record_of
    from robot.control.faults import FaultLatch

    OmegaConf.set_struct(config, False)
    config.robot.port = str(port)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    fault = FaultLatch(record_of(str(port))).trip("servo 2 reports overload")
    assert standing_of(config, tmp_path) == (fault,)


def test_a_clear_without_what_it_is_for_is_refused(table, tmp_path):
    with around(table, tmp_path), pytest.raises(LinkError, match="must name the faults"):
        table.client.say("clear", "Ada")
