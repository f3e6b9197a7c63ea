"""The keys of an input device speak about episodes, beside the control loop."""

import threading

import numpy as np
from helpers.scripted_person import Pad
from hydra import compose, initialize_config_module

from factory.spec import plain
from factory.teleop import open_takeover
from robot.control.faults import FaultLatch
from trajectories.errors import InvalidEpisodeError
from trajectories.types import PROPRIO_NAMES, Observation


def test_the_keys_for_success_failure_and_undo_are_words_about_an_episode(tmp_path):
    hands, heard, told = Pad(tmp_path), [], []
    loop = threading.current_thread()

    def word(name):
        def hear(by, about, via):
            assert threading.current_thread() is not loop
            heard.append((name, by, about, via))
            if name == "take_back":
                raise InvalidEpisodeError("nothing to take back")
            return f"{name}: noted"

        return hear

    with initialize_config_module("configs", version_base="1.3"):
        config = compose("actor", hands.overrides)
    words = {}
    standing = Observation({}, np.zeros(len(PROPRIO_NAMES), np.float32), "", {})

    def until(count):
        for _ in range(1000):
            assert takeover(standing) is None
            if len(told) >= count:
                return
            threading.Event().wait(0.01)

    try:
        with open_takeover(config, FaultLatch(), told.append, threading.Event(), words) as takeover:
            hands.plug(plain(config.device))
            hands.press("mark success")  # nobody listens yet
            hands.press("stop")
            until(1)
            words.update({name: word(name) for name in ("done", "not_done", "take_back")})
            for count, key in enumerate(("mark success", "mark failure", "undo"), 2):
                hands.press(key)
                until(count)
    finally:
        hands.close()
    by = "whoever holds the gamepad"
    assert heard == [(name, by, "", "device") for name in ("done", "not_done", "take_back")]
    assert told == ["stopping after this episode", "done: noted", "not_done: noted", "nothing to take back"]
