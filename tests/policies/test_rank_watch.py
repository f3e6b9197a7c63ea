"""Who is lost among the processes of a training is said by name, and nobody waits for it for ever."""

import json
import os
import socket
import subprocess
import sys

import pytest
from helpers.started_ranks import start_ranks
from torch.distributed import HashStore

from policies.common.rank_watch import Beat, RankWatch, _machine

HERE, ELSEWHERE = ("here", _machine()), ("far.lab", "another machine")


class Others:
    """Beats of other ranks, by hand."""

    def __init__(self, count=3):
        self.store, self.numbers = HashStore(), dict.fromkeys(range(count), 0)

    def beat(self, rank, place=ELSEWHERE, process=7, work=0, **said):
        self.numbers[rank] += 1
        beat = Beat(self.numbers[rank], work, *place, process, **said)
        self.store.set(str(rank), json.dumps(vars(beat)))


def verdict(others, **limits):
    """What rank 0 says once its exchange with the others has broken."""
    watch = RankWatch(others.store, 0, 3, **{"lost_s": 0.3, "hangs_s": 60.0} | limits)
    watch.begin()
    return watch.explain(RuntimeError("Connection closed by peer"))


def test_a_process_of_this_machine_that_is_gone():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    others = Others()
    others.beat(1, HERE, gone.pid)
    others.beat(2, HERE, os.getpid())
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # dead, and its parent hasn't asked yet
    assert verdict(others).startswith(f"Rank 1 of 3 (process {gone.pid} on here) has died.")
    gone.wait()
    assert "has died" in verdict(others)


def test_a_process_elsewhere_that_is_silent():
    others = Others()
    others.beat(1)
    others.beat(2, HERE, os.getpid(), state="done")
    assert "Rank 1 of 3 (process 7 on far.lab) hasn't been heard for 0 s: it is dead" in verdict(others)


def test_the_first_cause_is_named_and_not_who_followed_it():
    others = Others()
    others.beat(1, state="failed", why="Rank 2 of 3 (process 9 on far.lab) has died.")
    others.beat(2, state="done")
    assert verdict(others).startswith("Rank 1 of 3 (process 7 on far.lab) ended: Rank 2 of 3 (process 9 on far.lab)")


def test_without_anybody_lost_the_exchange_itself_is_named():
    others = Others()
    for rank in (1, 2):
        others.beat(rank, state="done")
    assert verdict(others).startswith("The exchange between the 3 processes broke: Connection closed by peer")


@pytest.mark.parametrize(("what", "why"), [("sleeps", "hangs: the others have waited"), ("stops", "hasn't been heard")])
def test_a_rank_that_hangs_or_is_stopped_ends_the_others_with_its_name(what, why):
    first, second = start_ranks("hanging_rank", what)
    try:
        _, words = first.communicate(timeout=120)
        assert second.stderr.readline() == "1.5\n"
        process = int(second.stderr.readline())
        assert second.poll() is None
    finally:
        second.kill()
        second.communicate()
    assert first.returncode == 2
    assert f"regrasp: Rank 1 of 2 (process {process} on {socket.gethostname()}) {why}" in words
    assert words.count("1.5") == 1
