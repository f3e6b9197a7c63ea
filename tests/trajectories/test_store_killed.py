"""kill -9 of the writer, at every call of a commit and at random moments: nothing acknowledged is lost."""

import subprocess
import sys
from pathlib import Path

from helpers import ENVIRONMENT, HELPERS
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories.store import TrajectoryStore


def run_writers(mode: str, folder: Path) -> list[str]:
    result = subprocess.run(
        [sys.executable, HELPERS / "killed_writer.py", mode, folder],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def test_killed_at_every_call_of_a_commit(tmp_path):
    run_writers("points", tmp_path)
    stores = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(stores) > 25
    first, second = sample_episode(1), sample_episode(2)
    whole = []
    for path in stores:
        with TrajectoryStore(path, SPEC) as store:
            assert store.ids() in ([first.id], [first.id, second.id])
            assert store.recovered.damaged == ()
            assert store.staged() == []
            whole.append(second.id in store)
            store.commit(second)
            for episode in (first, second):
                assert_same_episode(store.read(episode.id), episode)
    assert whole == sorted(whole), "once renamed, an episode stays"
    assert (whole[0], whole[-2:]) == (False, [True, True]), "whole only before the last sync and at the very end"


def test_killed_at_random_moments(tmp_path):
    path = tmp_path / "store"
    lines = run_writers("moments", path)
    discarded = sum(int(line.split()[1]) for line in lines if line.startswith("discarded"))
    acknowledged = [int(line) for line in lines if not line.startswith("discarded")]
    with TrajectoryStore(path, SPEC) as store:
        discarded += len(store.recovered.discarded)
        assert store.recovered.damaged == ()
        stored = [int(id[:20]) for id in store.ids()]
        assert set(acknowledged) <= set(stored)
        assert len(set(stored) - set(acknowledged)) <= 20, "at most one episode a kill was on its way"
        assert store.verify() == ()
        for number in stored:
            episode = sample_episode(number, steps=40)
            assert_same_episode(store.read(episode.id), episode)
    assert discarded > 0, "no writer was killed in mid-commit: the test has not tested it"
    assert len(acknowledged) >= 20
