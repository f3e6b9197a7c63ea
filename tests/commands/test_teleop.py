"""`regrasp teleop` in the twin, through the real driver of a faked device, into a real store."""

import os
import re
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT
from helpers.scripted_person import Mouse, Pad, ScriptedPerson
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.needs import ENOUGH
from commands.teleop import KeyRouter, Screen, StepPacer, demonstrate, listening, opened
from drivers.teleop.device import DEVICES, make_device
from drivers.teleop.keys import Key
from drivers.teleop.legend import legend
from factory.run_folders import data_folder
from factory.spec import plain
from robot.control.faults import FaultLatch
from robot.demonstration.types import Progress, Tally
from robot.demonstration.words import Phase
from trajectories.store import TrajectoryStore
from trajectories.types import Source

OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)


def composed(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("teleop", list(overrides))


def record(folder, hands, episodes, moods=None, *overrides, on_progress=None):
    """Runs the verb's own code with the scripted person; returns the session and the person."""
    config = composed(
        f"run_dir={folder / 'run'}", f"episodes={episodes}", "teleop.realtime=false", "teleop.person=Anna",
        "progress=false", *hands.overrides, *overrides,
    )  # fmt: skip
    stop = threading.Event()
    with listening(config) as (device, keys), opened(config, keys, stop) as around:
        hands.plug(plain(config.device))
        person = ScriptedPerson(around.station.twin, device, hands, np.random.default_rng(3), moods=moods)
        with TrajectoryStore(data_folder(folder / "run"), around.station.env.robot_spec) as store:
            act = on_progress(person) if on_progress is not None else person
            return demonstrate(config, around, store, device, keys, stop, on_progress=act), person


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_can_be_made_and_has_every_key_of_a_session(name):
    config = composed(f"device={name}", *(["device.port=U2D2"] if name == "leader" else []))
    settings = plain(config.device)
    make_device(settings)
    needed = {
        Key.START,
        Key.SUCCESS,
        Key.FAILURE,
        Key.DISCARD,
        Key.UNDO,
        Key.STOP,
        Key.HOLD,
        Key.TAKE_OVER,
        Key.HAND_BACK,
    }
    assert needed <= set(legend(settings))


@pytest.mark.parametrize("hands", [Pad, Mouse])
def test_demonstrations_end_in_the_store_as_collect_leaves_its_own(tmp_path, hands, capsys):
    needed = ("collect.demos=1", "collect.failures=0", "collect.aftermath=1", "+reward.kind=theirs")
    session, person = record(tmp_path, hands(tmp_path), 2, None, *needed)
    said = capsys.readouterr().out
    assert re.search(r"successes +0 of 1 +0 of 1\n", said)
    assert "Not enough yet: forward 1 more successes; forward 1 more looks back; backward 1 more" in said
    assert said.count(ENOUGH) == 1  # when the last look back was kept
    assert said.index("Not enough") < said.index(ENOUGH)
    assert session.tally.successes == 2
    with TrajectoryStore(data_folder(tmp_path / "run"), read_only=True) as store:
        everything = [store.read(id) for id in store.ids()]
    episodes = [e for e in everything if e.metadata["kind"] != "aftermath"]
    looks = [e for e in everything if e.metadata["kind"] == "aftermath"]
    assert [(e.direction, e.outcome, len(e)) for e in looks] == [(d, "success", 3) for d in ("forward", "backward")]
    assert [e.instruction for e in looks] == [e.instruction for e in episodes if e.outcome == "success"]
    good = [e for e in episodes if e.outcome == "success"]
    assert [e.metadata["parent"] for e in looks] == [e.id for e in good]
    assert [e.direction for e in good] == ["forward", "backward"]
    for episode in episodes:
        kind = {"success": "demo", "failure": "failure", "unknown": "unmarked"}[episode.outcome]
        assert episode.metadata["kind"] == kind
        assert (episode.metadata["device"], episode.metadata["person"]) == (hands.name, "Anna")
        assert episode.metadata["evaluation"]["success"] == (episode.outcome == "success")
        np.testing.assert_array_equal(episode.source, Source.PERSON)
        assert np.abs(episode.executed[:, :6]).max() > 0.5
        assert {-1.0, 1.0} == set(np.sign(episode.executed[:, 6]).tolist())
    assert person.presses["start"] == len(episodes) + session.tally.dropped


def test_the_same_command_once_more_asks_nobody_for_anything(tmp_path):
    record(tmp_path, Pad(tmp_path), 1)

    def nobody(person):
        def asked(progress):
            raise AssertionError(progress)

        return asked

    (tmp_path / "again").mkdir()
    session, _ = record(tmp_path, Pad(tmp_path / "again"), 1, on_progress=nobody)
    assert session.tally.successes == 1
    assert not session.ended


def test_an_emergency_hold_keeps_the_episode_and_the_next_one_takes_its_place(tmp_path):
    hands, held = Pad(tmp_path), []

    def take_over():  # nobody but the person clears a hold, in the twin neither
        while not cleared.wait(0.5):
            hands.press("take over")

    cleared = threading.Event()
    clearing = threading.Thread(target=take_over, daemon=True)

    def hold_once(person):
        def act(progress):
            if held:
                cleared.set()
            person(progress)
            if progress.steps == 4 and not held:
                held.append(progress)
                hands.press("emergency hold")
                person(progress)
                clearing.start()

        return act

    session, _ = record(tmp_path, hands, 1, on_progress=hold_once)
    with TrajectoryStore(data_folder(tmp_path / "run"), read_only=True) as store:
        infos = store.infos()
    assert (infos[0].outcome, infos[0].length) == ("unknown", 4)
    assert "emergency hold" in infos[0].metadata["fault"]
    assert infos[0].metadata["kind"] == "unmarked"
    assert [info.outcome for info in infos[-2:]] == ["success", "success"]  # shown, and looked back at
    assert session.tally.outcomes["forward"]["unknown"] == 1


def test_keys_while_the_session_waits_for_somebody():
    said, faults = [], FaultLatch()
    station = SimpleNamespace(words=lambda: {"ready": lambda by: said.append(("ready", by))})
    recovery = SimpleNamespace(clear=lambda by: said.append(("clear", by)) or "thank you")
    around = SimpleNamespace(station=station, recovery=recovery)
    session, stop = SimpleNamespace(waits_for_others=False), threading.Event()
    keys = KeyRouter(faults)
    keys(Key.HOLD)  # there is neither session nor arm yet
    (early,) = faults.standing
    assert (early.reason, early.kind) == ("a person pressed the emergency hold", "hold")
    keys.connect(session, around, stop, "Anna")
    for key in Key:
        keys(key)
    assert faults.standing != (early,)  # once more
    assert said == []
    assert not stop.is_set()
    session.waits_for_others = True
    keys(Key.START)
    keys(Key.TAKE_OVER)
    assert said == [("ready", "Anna"), ("clear", "Anna")]
    keys(Key.STOP)
    assert stop.is_set()
    keys.connect(session, around, stop, " ")
    keys(Key.TAKE_OVER)
    assert len(said) == 2  # nobody clears a fault without a name


def test_ctrl_c_in_the_midst_of_an_episode_keeps_it(tmp_path):
    """The whole verb in a process of its own: the episode under way is in the store as unknown."""
    hands = Pad(tmp_path)
    command = [sys.executable, "-m", "commands", "teleop", f"run_dir={tmp_path / 'run'}", *hands.overrides]
    process = subprocess.Popen(
        [*command, "teleop.realtime=false"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    try:
        hands.plug(plain(composed(*hands.overrides).device))  # waits for the reader
        for line in process.stdout:
            if line.startswith("the arm waits for the start"):
                hands.push([0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
                hands.press("start")
            if line.startswith("time is up"):
                break
        os.kill(process.pid, signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "unknown: forward, 100 steps" in rest
    assert "the same command goes on" in errors
    with TrajectoryStore(data_folder(tmp_path / "run"), read_only=True) as store:
        (episode,) = [store.read(id) for id in store.ids()]
    assert (episode.outcome, len(episode)) == ("unknown", 100)
    assert episode.proposed[0, 0] == pytest.approx(0.2, abs=0.001)
    assert "KeyboardInterrupt" in episode.metadata["fault"]


def test_the_screen_shows_the_instruction_the_keys_and_the_device(capsys):
    tally = Tally()
    with Screen(50, tally, {Key.START: "enter", Key.SUCCESS: "y", "fine motion": "shift"}) as screen:
        for phase, problem in [(Phase.PREPARING, None), (Phase.WAITING, None), (Phase.RECORDING, "gamepad: unplugged")]:
            screen.show(Progress(phase, "forward", "put it in", 0, 0.0, problem))
        tally.outcomes["forward"]["success"] = 1
        screen.show(Progress(Phase.ASKING, "forward", "put it in", 7, 1.4, None))
        screen.show(Progress(Phase.PREPARING, "backward", "take it out", 0, 0.0, None))
        screen.show(Progress(Phase.PREPARING, "backward", "get it out", 0, 0.0, None))  # another without a start
    shown = capsys.readouterr().out
    for line in (
        "  enter                    start",
        "  shift                    fine motion",
        "    PUT IT IN",
        "1 of 50, forward: the scene is being prepared",
        "the arm waits for the start: start (enter)",
        "recording: mark success (y)",
        "device: gamepad: unplugged",
        "device: back",
        "2 of 50, backward: the scene is being prepared",
        "    TAKE IT OUT",
        "    GET IT OUT",
    ):
        assert f"{line}\n" in shown


def test_the_twin_is_paced_like_the_arm(monkeypatch):
    now, slept = [10.0], []

    def sleep(seconds):
        slept.append(round(seconds, 6))
        now[0] += seconds

    monkeypatch.setattr("commands.teleop.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    pace = StepPacer(0.2)
    for work in (0.0, 0.05, 0.05, 0.5, 0.05):
        now[0] += work
        pace()
    assert slept == [0.0, 0.15, 0.15, 0.0, 0.15]  # after a long step it starts anew instead of hurrying
