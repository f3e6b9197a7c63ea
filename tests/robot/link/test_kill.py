"""kill -9 of real actor and learner processes: no completed episode is lost or doubled."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.link_data import SPEC, assert_same_episode, make_episode

from robot.rollout.actor_status import ActorStatus
from trajectories.store import TrajectoryStore

PATIENCE_S = 60


class Process:
    """A script of the helpers, killed and started again."""

    def __init__(self, script: str, folder: Path, address: str):
        self._command = [sys.executable, str(HELPERS / script), str(folder), address]
        self._log = (folder / f"{script}.log").open("ab")
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, env=ENVIRONMENT, stdout=self._log, stderr=subprocess.STDOUT)

    def kill(self):
        assert self._process.poll() is None, f"died by itself: see {self._log.name}"
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """The exit status after a polite stop."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def clean_up(self):
        if self._process.poll() is None:
            self.kill()
        self._log.close()


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def wait_for_more(path: Path, more: int) -> None:
    """Until the file has `more` lines more than now."""
    goal, end = len(lines(path)) + more, time.monotonic() + PATIENCE_S
    while len(lines(path)) < goal:
        assert time.monotonic() < end, f"{path} does not grow"
        time.sleep(0.005)


@pytest.fixture
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path, address):
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    completed = tmp_path / "completed"
    learner = Process("killable_learner.py", tmp_path, address)
    actor = Process("killable_actor.py", tmp_path, address)
    try:
        for victims in ([actor], [learner], [actor, learner], [actor], [learner], [learner, actor]):
            if rng.random() < 0.8:
                wait_for_more(completed, 2)
            time.sleep(rng.uniform(0, 0.2))
            for victim in victims:
                victim.kill()
                time.sleep(0.2)  # without its learner the actor completes one more episode and can't send it
            for victim in victims:
                victim.start()
        wait_for_more(completed, 3)
        assert actor.end() == 0
        assert learner.end() == 0
    finally:
        actor.clean_up()
        learner.clean_up()

    started = [make_episode(int(number)).id for number in lines(tmp_path / "started")]
    with TrajectoryStore(tmp_path / "outbox", read_only=True) as outbox:
        left = set(outbox.ids())
    with TrajectoryStore(tmp_path / "learner", SPEC) as store:
        assert store.recovered.damaged == ()
        ids = store.ids()
        assert len(set(ids)) == len(ids) >= 3
        assert set(lines(completed)) <= set(ids)
        assert set(ids) <= set(started)
        for id in ids:
            number = int(id.split("-")[0])
            sent = store.read(id)
            expected = make_episode(number, 3, "success" if number % 3 else "failure", sent.policy_version[0])
            assert_same_episode(sent, expected)
    assert not left
    status = ActorStatus.read(tmp_path / "actor.json")
    assert (status.state, status.episodes, status.steps) == ("stopped", len(ids), 3 * len(ids))
    assert status.policy_version in (len(ids) // 3, (len(ids) - 1) // 3)
