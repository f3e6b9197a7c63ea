"""Episodes whose end the judge was unsure about: stored, but nothing is learned from them."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers.blob_world import BlobWorld, demos, record

from policies.learner.learner_config import LearnerConfig
from policies.learner.metrics import read_metrics
from policies.learner.run_folder import RunFolder
from policies.replay.dataset import kept_offline
from trajectories.store import TrajectoryStore
from trajectories.types import Source
from trajectories.verdicts import Verdict

CONFIG = LearnerConfig(
    steps=100, warmup_steps=10, utd=1, batch=16, max_lag=40, publish_every=5, checkpoint_every=10, snapshot_every=50
)


@pytest.fixture
def make(open_learner):
    return partial(open_learner, config=CONFIG)


def episodes(count):
    import numpy as np

    found = []
    for number in range(count):
        rng = np.random.default_rng((5, number))
        world = BlobWorld(rng, "red", "forward")
        world.reset()
        world.places["red"] = np.array([0.2, 0.0])  # on neither side
        found.append(record(world, lambda _, rng=rng: rng.uniform(-1, 1, 7), steps=20, source=Source.POLICY))
    return found


def verdict(id, word, second=1):
    return Verdict(id, word, "Anna", "review", second * 1_000_000_000, "0")


def doubtful(episode):
    return replace(episode, outcome="unknown", metadata={"unsure": {"would_be": "success"}})


def test_they_are_stored_and_pay_for_no_update(make, tmp_path):
    learner = make()
    known, *others = episodes(4)
    unsure = [doubtful(episode) for episode in others]
    assert learner.put_episode(unsure[0]).steps == 0
    assert learner.train() == 0
    assert learner.may_act(0.0)  # nothing is owed, so that the robot needn't wait for ever
    assert learner.put_episode(known).steps == 20
    receipt = learner.put_episode(unsure[1])
    assert (receipt.steps, receipt.episodes) == (20, 3)
    assert learner.train() == 10
    assert len(learner._kept.replay) == 20
    learner.close()
    rows = read_metrics(RunFolder(tmp_path / "run").metrics)
    assert [row["step"] for row in rows if "episode/length" in row] == [0, 20, 20]
    assert ["episode/return" in row for row in rows if "episode/length" in row] == [False, True, False]
    reader = TrajectoryStore(RunFolder(tmp_path / "run").episodes, read_only=True)
    assert {info.id: info.outcome for info in reader.infos()} == {
        unsure[0].id: "unknown", known.id: known.outcome, unsure[1].id: "unknown",
    }  # fmt: skip


def test_a_restart_counts_as_the_run_before_did(make):
    learner = make()
    known, other = episodes(2)
    learner.put_episode(doubtful(other))
    learner.put_episode(known)
    learner.train()
    learner.close()
    again = make()
    assert (again.status.steps, again.status.episodes, again.status.owed) == (20, 2, 0)
    assert len(again._kept.replay) == 20


def test_a_persons_word_lets_one_count_after_all_now_and_after_a_restart(make, tmp_path):
    learner = make()
    known, other, late = episodes(3)
    learner.put_episode(known)
    learner.put_episode(doubtful(other))
    learner.train()
    assert (learner.status.steps, len(learner._kept.replay)) == (20, 20)
    learner.put_verdict(verdict(other.id, "done"))
    learner.train()
    assert (learner.status.steps, len(learner._kept.replay)) == (40, 40)
    assert learner._kept.replay.gather(torch.arange(20, 40)).reward.tolist() == [-1.0] * 17 + [0.0] * 3
    learner.put_verdict(verdict(other.id, "not_done", 2))
    learner.train()
    assert learner.status.steps == 40
    assert learner._kept.replay.gather(torch.arange(20, 40)).reward.tolist() == [-1.0] * 20
    learner.put_verdict(verdict(late.id, "not_done"))  # said before the episode has come
    learner.put_episode(doubtful(late))
    learner.train()
    assert (learner.status.steps, learner.status.owed) == (60, 0)
    learner.close()
    again = make()
    assert (again.status.steps, again.status.episodes, again.status.owed) == (60, 3, 0)
    assert len(again._kept.replay) == 60
    rows = read_metrics(RunFolder(tmp_path / "run").metrics)
    assert [row["verdict/outcome"] for row in rows if "verdict/outcome" in row][:2] == ["success", "failure"]


def test_as_offline_data_they_are_left_out_too():
    shown, other = demos(2, seed=3)
    kept = kept_offline([shown, doubtful(other), replace(other, outcome="unknown")], None, "all")
    assert [episode.outcome for episode in kept] == [shown.outcome, "unknown"]
