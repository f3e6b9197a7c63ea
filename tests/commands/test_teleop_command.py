"""`regrasp teleop` in the twin, through the real driver of a faked device, into a real store."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from scripted_person import Mouse, Pad, ScriptedPerson

from commands.checkpoints import data_folder
from commands.stations import open_station
from commands.teleop import KeyRouter, demonstrate, device_config
from drivers.teleop.device import DEVICES, make_device, open_device
from drivers.teleop.keys import Key
from drivers.teleop.legend import legend
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
    keys, stop = KeyRouter(), threading.Event()
    with open_station(config) as station:
        store = TrajectoryStore(data_folder(folder / "run"), station.env.robot_spec)
        device = open_device(device_config(config), keys)
        hands.plug(device_config(config))
        person = ScriptedPerson(station.twin, device, hands, np.random.default_rng(3), moods=moods)
        try:
            with store:
                act = on_progress(person) if on_progress is not None else person
                return demonstrate(config, station, store, device, keys, stop, on_progress=act), person
        finally:
            device.close()


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_can_be_made_and_has_every_key_of_a_session(name):
    config = composed(f"device={name}", *(["device.port=U2D2"] if name == "leader" else []))
    settings = device_config(config)
    make_device(settings)
    needed = {Key.START, Key.SUCCESS, Key.FAILURE, Key.DISCARD, Key.UNDO, Key.STOP, Key.HOLD, Key.TAKE_OVER}
    assert needed <= set(legend(settings))


@pytest.mark.parametrize("hands", [Pad, Mouse])
def test_demonstrations_end_in_the_store_as_collect_leaves_its_own(tmp_path, hands):
    session, person = record(tmp_path, hands(tmp_path), 2)
    assert session.tally.successes == 2
    with TrajectoryStore(data_folder(tmp_path / "run"), read_only=True) as store:
        episodes = [store.read(id) for id in store.ids()]
    good = [e for e in episodes if e.outcome == "success"]
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

    def hold_once(person):
        def act(progress):
            person(progress)
            if progress.steps == 4 and not held:
                held.append(progress)
                hands.press("emergency hold")
                person(progress)

        return act

    session, _ = record(tmp_path, hands, 1, on_progress=hold_once)
    with TrajectoryStore(data_folder(tmp_path / "run"), read_only=True) as store:
        infos = store.infos()
    assert (infos[0].outcome, infos[0].length) == ("unknown", 4)
    assert "emergency hold" in infos[0].metadata["fault"]
    assert infos[0].metadata["kind"] == "unmarked"
    assert infos[-1].outcome == "success"
    assert session.tally.outcomes["forward"]["unknown"] == 1


def test_keys_while_the_session_waits_for_somebody():
    said = []
    safety = SimpleNamespace(trip=lambda reason: said.append(reason))
    words = {"ready": lambda by: said.append(("ready", by)), "clear": lambda by: said.append(("clear", by))}
    station = SimpleNamespace(env=SimpleNamespace(safety=safety), words=lambda: words)
    session, stop = SimpleNamespace(waits_for_others=False), threading.Event()
    keys = KeyRouter()
    keys(Key.HOLD)  # nobody there yet
    keys.connect(session, station, stop, "Anna")
    for key in Key:
        keys(key)
    assert said == ["a person pressed the emergency hold"]
    assert not stop.is_set()
    session.waits_for_others = True
    keys(Key.START)
    keys(Key.TAKE_OVER)
    assert said[1:] == [("ready", "Anna"), ("clear", "Anna")]
    keys(Key.STOP)
    assert stop.is_set()
    keys.connect(session, station, stop, " ")
    keys(Key.TAKE_OVER)
    assert len(said) == 3  # nobody clears a fault without a name
