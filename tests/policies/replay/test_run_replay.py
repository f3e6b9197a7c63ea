"""A restarted learner reads its replay back, encodes only what is missing, and goes on bit for bit."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, record
from helpers.replay_world import assert_same, everything
from helpers.small_policies import knowing

from policies.learner.learner_config import LearnerConfig
from policies.learner.run_folder import RunFolder
from policies.policy import load_policy
from policies.replay import run_replay
from policies.replay.replay import Replay
from policies.replay.run_replay import RunReplay
from trajectories.errors import CheckpointError
from trajectories.store import TrajectoryStore
from trajectories.types import Source

CONFIG = LearnerConfig(
    steps=200, warmup_steps=40, utd=2, batch=32, max_lag=40,
    publish_every=100, checkpoint_every=10, snapshot_every=100, log_every=50,
)  # fmt: skip


def online(count, seed, outcome="failure"):
    """Random episodes of 20 steps."""
    episodes = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        act = lambda _, rng=rng: rng.uniform(-1, 1, 7)  # noqa: E731
        episodes.append(record(world, act, steps=20, source=Source.POLICY, outcome=outcome))
    return episodes


@pytest.fixture
def encoded(monkeypatch):
    """Ids of the episodes that a restart encodes."""
    ids = []
    for_replay = run_replay.for_replay

    def counting(episode, *settings):
        ids.append(episode.id)
        return for_replay(episode, *settings)

    monkeypatch.setattr(run_replay, "for_replay", counting)
    return ids


@pytest.fixture
def make(open_learner):
    return partial(open_learner, config=CONFIG)


def put(learner, episodes):
    for episode in episodes:
        learner.put_episode(episode)
    learner.train()


def parameters(learner):
    return learner.trainer.agent.state()[0]


def assert_same_learners(left, right):
    assert_same(everything(left._kept.replay), everything(right._kept.replay))
    ours, theirs = parameters(left), parameters(right)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert left.status.steps == right.status.steps
    assert left.status.success == right.status.success or left.status.episodes == 0


def test_a_closed_run_is_read_back_without_encoding(make, encoded):
    episodes = online(6, seed=30)
    whole, half = make("whole"), make("half")
    for learner in (whole, half):
        put(learner, episodes[:4])
    half.close()
    again = make("half")
    assert encoded == []
    for learner in (whole, again):
        put(learner, episodes[4:])
    assert_same_learners(whole, again)


def test_a_killed_run_encodes_only_what_its_file_lacks(make, encoded):
    episodes = online(6, seed=31)
    whole = make("whole")
    put(whole, episodes[:3])  # 20 updates: checkpoints, and with them the first 3 episodes in the file
    put(whole, episodes[3:])
    killed = make("killed")
    put(killed, episodes[:3])
    for episode in episodes[3:]:
        killed.put_episode(episode)  # acknowledged, not yet learned from
    killed.store.close()
    again = make("killed")
    assert encoded == [episode.id for episode in episodes[3:]]
    again.train()
    assert_same_learners(whole, again)


def test_the_order_of_arrival_is_kept_when_it_is_not_that_of_creation(make, encoded):
    """Two actors: an older episode may arrive later."""
    first, second, third = online(3, seed=32)
    learner = make()
    put(learner, [second, first])
    before = learner._kept.replay.gather(torch.arange(40))
    learner.close()
    again = make()
    put(again, [third])
    assert_same(again._kept.replay.gather(torch.arange(40)), before)
    assert encoded == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "foreign"])
def test_with_a_damaged_file_everything_comes_from_the_store(make, tmp_path, encoded, caplog, damage):
    episodes = online(4, seed=33)
    whole, learner = make("whole"), make("run")
    put(whole, episodes)
    put(learner, episodes)
    learner.close()
    path = RunFolder(tmp_path / "run").replay
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flipped": content, "cut": content[:-500], "foreign": b"something else"}[damage])
    again = make("run")
    assert encoded == [episode.id for episode in episodes]
    assert "encoded anew" in caplog.text
    assert_same_learners(whole, again)
    again.close()
    encoded.clear()
    make("run")  # the file has been made again
    assert encoded == []


def test_other_features_or_labels_are_not_taken_over(tmp_path, pretrained, encoded, caplog):
    perception = load_policy(pretrained).perception
    path, (first, second) = tmp_path / "replay", online(2, seed=34)

    def restore(outcome, perception):
        with TrajectoryStore(tmp_path / outcome, SPEC) as store:
            for episode in (first, second):
                store.commit(episode if outcome == "failure" else replace(episode, outcome=outcome))
            kept = RunReplay(path, Replay(1000, perception.fields, gamma=0.9), perception)
            infos = list(kept.refill(store))
        kept.save()
        return kept, infos

    restore("failure", perception)
    assert encoded == [first.id, second.id]
    _, infos = restore("failure", perception)
    assert len(encoded) == 2
    assert [info.id for info in infos] == [first.id, second.id]
    kept, _ = restore("unknown", perception)
    assert len(encoded) == 4
    assert "as ['failure'" in caplog.text
    assert kept.replay.episodes == 2
    extended = knowing(perception, ["sing"])
    restore("unknown", extended)
    assert len(encoded) == 6
    assert "holds features of encoder" in caplog.text


def test_a_run_that_mixes_offline_data_in_goes_on_bit_for_bit(make, demo_store):
    config = replace(CONFIG, retention=0.5)
    settings = {"config": config, "offline": [TrajectoryStore(demo_store, read_only=True)], "task": "red_disc"}
    episodes = online(6, seed=35)
    whole, half = make("whole", **settings), make("half", **settings)
    for learner in (whole, half):
        put(learner, episodes[:4])
    half.close()
    again = make("half", **settings)
    for learner in (whole, again):
        put(learner, episodes[4:])
    assert_same_learners(whole, again)


def test_the_file_is_written_when_the_data_have_grown_by_a_tenth(tmp_path, pretrained):
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
    episodes = online(14, seed=36)
    written = []
    for episode in episodes:
        kept.add(episode, run_replay.for_replay(episode, perception, 0.9))
        before = (tmp_path / "replay").exists() and (tmp_path / "replay").stat().st_mtime_ns
        kept.save(if_grown=True)
        written.append((tmp_path / "replay").stat().st_mtime_ns != before)
    assert written == [True] * 11 + [False, True, False]  # 11 + 1 is less than a tenth more, 11 + 2 is not


def test_a_disk_that_refuses_does_not_end_the_run(tmp_path, pretrained, monkeypatch, caplog):
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
    (episode,) = online(1, seed=37)
    kept.add(episode, run_replay.for_replay(episode, perception, 0.9))

    def full(*_):
        raise CheckpointError("No space left")

    monkeypatch.setattr(kept.replay, "save", full)
    kept.save()
    assert "No space left" in caplog.text
    monkeypatch.undo()
    kept.save()
    assert (tmp_path / "replay").exists()
