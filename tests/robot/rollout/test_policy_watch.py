"""People hear of a policy that is silent or talks nonsense; what it says goes through unchanged."""

import threading

import numpy as np

from robot.rollout.policy_watch import WatchedPolicy


class Policy:
    """Says what it is told to."""

    def __init__(self):
        self.version, self.action, self.go = 3, np.zeros(7, np.float32), threading.Event()
        self.go.set()
        self.asked = []

    def act(self, observation, deterministic=False):
        self.asked.append((observation, deterministic))
        self.go.wait()
        return self.action

    def load(self, weights):
        self.version = weights


def make(silent_s=60.0):
    policy, told = Policy(), []
    return policy, WatchedPolicy(policy, told.append, silent_s), told


def test_everything_goes_through():
    policy, watched, told = make()
    assert watched.act("o", True) is policy.action
    assert policy.asked == [("o", True)]
    watched.load(7)
    assert watched.version == policy.version == 7
    assert told == []


def test_nonsense_is_told_once_and_counted():
    policy, watched, told = make()
    for action in (np.full(7, np.nan), np.zeros(3), None):
        policy.action = action
        assert watched.act("o") is action
    assert watched.nonfinite == 3
    assert len(told) == 1
    assert "version 3" in told[0]
    assert "arm holds" in told[0]


def test_silence_is_told_while_it_lasts():
    policy, watched, told = make(silent_s=0.01)
    said = threading.Event()
    watched._notify = lambda line: (told.append(line), said.set())
    policy.go.clear()
    acting = threading.Thread(target=watched.act, args=("o",))
    acting.start()
    assert said.wait(20)
    assert acting.is_alive()
    policy.go.set()
    acting.join()
    assert "said nothing for 0.01 s" in told[0]
    assert watched.silences == len(told) == 1
