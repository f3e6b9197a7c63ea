"""A restarted learner reads its replay back, encodes only what is missing, and goes on bit for bit."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, record
from helpers.replay_world import assert_same, everything
from helpers.small_policies import knowing

from policies.common.tensor_file import read_tensors
from policies.learner.learner_config import LearnerConfig
from policies.learner.run_folder import RunFolder
from policies.policy import load_policy
from policies.replay import replay_file, run_replay
from policies.replay.replay import Replay
from policies.replay.replay_parts import INDEX
from policies.replay.run_replay import RunReplay
from policies.replay.source_weights import SourceWeights
from trajectories.errors import CheckpointError, ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Source
from trajectories.verdicts import VerdictBook

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

    def counting(episode, *settings, **further):
        ids.append(episode.id)
        return for_replay(episode, *settings, **further)

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


@pytest.mark.parametrize("left", ["all", "a part", "nothing"])
def test_draws_by_progress_go_on_after_a_restart_and_files_without_it_are_encoded_anew(make, encoded, tmp_path, left):
    episodes = [
        replace(one, metadata={"progress": np.linspace(0, number / 6, 21).tolist()})
        for number, one in enumerate(online(6, seed=30))
    ]
    weighted = replace(CONFIG, progress_weight=50.0)
    whole, half = make("whole", config=weighted), make("half", config=weighted)
    for learner in (whole, half):
        put(learner, episodes[:2])
        learner.save()
        put(learner, episodes[2:4])
    half.close()
    if left == "a part":
        max((tmp_path / "half" / "replay").glob("part_*")).unlink()
    elif left == "nothing":
        shutil.rmtree(tmp_path / "half" / "replay")
    again = make("half", config=weighted)
    assert bool(encoded) == (left != "all")
    for learner in (whole, again):
        put(learner, episodes[4:])
    if left == "all":
        assert_same_learners(whole, again)
    held, expected = everything(again._kept.replay), everything(whole._kept.replay)
    assert torch.equal(held.reward, expected.reward)
    counts = torch.bincount(again._kept.replay.draw(60_000), minlength=120).reshape(6, 20).sum(1)
    weights = torch.tensor([20 + 50.0 * number / 6 for number in range(6)])
    assert counts / 60_000 == pytest.approx((weights / weights.sum()).tolist(), abs=0.01)
    again.close()
    encoded.clear()
    plain = make("half", config=replace(weighted, progress_weight=0.0, accept_changes=True))
    assert len(encoded) == 6
    assert plain._kept.replay.weights.uniform


def test_an_episode_without_progress_is_refused_where_gains_count(make):
    learner = make(config=replace(CONFIG, progress_weight=1.0))
    with pytest.raises(ConfigError, match=r"says nothing of progress, which finetune\.progress_weight needs"):
        learner.put_episode(online(1, seed=30)[0])


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


def damaged(path, damage):
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flipped": content, "cut": content[:-500], "foreign": b"something else"}[damage])


def parts_of(folder):
    """Names of the files that the index names, oldest first."""
    return [part["name"] for part in json.loads((folder / INDEX).read_text())["parts"]]


@pytest.mark.parametrize(
    ("which", "lost", "damage"),
    [
        ("index", 6, "cut"),
        ("index", 6, "foreign"),
        *(
            (which, lost, damage)
            for which, lost in ((0, 6), (1, 3), (2, 1))
            for damage in ("flipped", "cut", "foreign")
        ),
    ],
)
def test_what_a_damaged_file_held_comes_from_the_store(make, tmp_path, encoded, caplog, which, lost, damage):
    episodes = online(6, seed=33)
    whole, learner = make("whole"), make("run")
    for some in (episodes[:3], episodes[3:5], episodes[5:]):
        for one in (whole, learner):
            put(one, some)
        learner.save()
    learner.close()
    folder = RunFolder(tmp_path / "run").replay
    names = parts_of(folder)
    assert len(names) == 3
    damaged(folder / (INDEX if which == "index" else names[which]), damage)
    again = make("run")
    assert encoded == [episode.id for episode in episodes[6 - lost :]]
    assert "encoded anew" in caplog.text
    assert_same_learners(whole, again)
    again.close()
    assert sorted(path.name for path in folder.iterdir()) == sorted([INDEX, *parts_of(folder)])
    encoded.clear()
    make("run")  # the files have been made again
    assert encoded == []


def test_other_features_or_labels_are_not_taken_over(tmp_path, pretrained, encoded, caplog):
    perception = load_policy(pretrained).perception
    path, (first, second) = tmp_path / "replay", online(2, seed=34)

    def restore(outcome, perception):
        with TrajectoryStore(tmp_path / outcome, SPEC) as store:
            for episode in (first, second):
                store.commit(episode if outcome == "failure" else replace(episode, outcome=outcome))
            kept = RunReplay(path, Replay(1000, perception.fields, gamma=0.9), perception)
            infos = list(kept.refill(store, VerdictBook(store.path)))
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


def frames_in(path):
    """Frames that a file of a replay holds."""
    tensors, _, _ = read_tensors(path, "regrasp-replay-1")
    return sum(len(tensor) for name, tensor in tensors.items() if name.startswith("frames.state"))


def test_a_save_writes_what_is_new_alone(tmp_path, pretrained, monkeypatch):
    """However much there is: the training thread waits for it."""
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
    written = []
    write = replay_file.write_tensors
    monkeypatch.setattr(replay_file, "write_tensors", lambda path, *rest: written.append(path) or write(path, *rest))
    for count in (3, 1, 2):
        for episode in online(count, seed=36 + count):
            kept.add(episode, run_replay.for_replay(episode, perception, 0.9))
        kept.save()
        kept.save()  # nothing is new
    assert [frames_in(path) for path in written] == [63, 21, 42]


@pytest.mark.parametrize("weights", [None, SourceWeights(policy=0.5)])
def test_a_full_replay_is_restored_to_the_bit_and_leaves_no_old_files(tmp_path, pretrained, encoded, weights):
    """Room for 5 episodes of 21 frames; the 11 come in saves of 1, 2, 3, 2, 3."""
    perception = load_policy(pretrained).perception
    episodes = online(11, seed=40)
    settings = {"gamma": 0.9, "weights": weights}
    whole = Replay(5 * 21, perception.fields, **settings)

    def opened(store):
        kept = RunReplay(tmp_path / "replay", Replay(5 * 21, perception.fields, **settings), perception)
        return kept, [info.id for info in kept.refill(store, VerdictBook(store.path))]

    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        at = 0
        for count in (1, 2, 3, 2, 3):
            kept, ids = opened(store)  # a restart before each
            assert sorted(ids) == sorted(episode.id for episode in episodes[:at])
            for episode in episodes[at : at + count]:
                store.commit(episode)
                encoding = run_replay.for_replay(episode, perception, 0.9)
                kept.add(episode, encoding)
                encoding.add_to(whole)
            at += count
            kept.save()
        encoded.clear()
        kept, ids = opened(store)
    assert encoded == []
    assert len(ids) == 11
    assert_same(everything(kept.replay), everything(whole))
    assert kept.replay._mass == whole._mass
    kept.replay._generator.set_state(whole._generator.get_state())
    assert_same(kept.replay.sample(200), whole.sample(200))
    names = [path.name for path in (tmp_path / "replay").iterdir() if path.name != INDEX]
    assert (
        sorted(names) == parts_of(tmp_path / "replay") == ["part_000000008.safetensors", "part_000000011.safetensors"]
    )


def test_more_than_fits_between_two_saves_begins_anew(tmp_path, pretrained, encoded):
    """An episode that made room before it was ever saved leaves a gap that no older file may stand before."""
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(3 * 21, perception.fields, gamma=0.9), perception)
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for number, episode in enumerate(online(8, seed=41)):
            store.commit(episode)
            kept.add(episode, run_replay.for_replay(episode, perception, 0.9))
            if number == 1:
                kept.save()
        kept.save()
        encoded.clear()
        again = RunReplay(tmp_path / "replay", Replay(3 * 21, perception.fields, gamma=0.9), perception)
        assert len(list(again.refill(store, VerdictBook(store.path)))) == 8
    assert encoded == []
    assert_same(everything(again.replay), everything(kept.replay))


def test_a_smaller_replay_takes_the_newest(tmp_path, pretrained, encoded):
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in online(6, seed=42):
            store.commit(episode)
            kept.add(episode, run_replay.for_replay(episode, perception, 0.9))
            kept.save()
        encoded.clear()
        small = RunReplay(tmp_path / "replay", Replay(2 * 21, perception.fields, gamma=0.9), perception)
        list(small.refill(store, VerdictBook(store.path)))
    assert encoded == []
    assert small.replay.episodes == 2
    assert_same(everything(small.replay), kept.replay.gather(torch.arange(80, 120)))


def test_the_one_file_of_earlier_versions_is_read_and_then_replaced(tmp_path, pretrained, encoded):
    perception = load_policy(pretrained).perception
    before = Replay(1000, perception.fields, gamma=0.9)
    episodes = online(3, seed=43)
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in episodes:
            store.commit(episode)
            run_replay.for_replay(episode, perception, 0.9).add_to(before)
        marks = [[episode.id, episode.outcome, episode.instruction, len(episode)] for episode in episodes]
        before.save(tmp_path / "replay.safetensors", {"features": perception.digest, "episodes": marks})
        encoded.clear()
        kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
        assert [info.id for info in kept.refill(store, VerdictBook(store.path))] == [episode.id for episode in episodes]
    assert encoded == []
    assert_same(everything(kept.replay), everything(before))
    kept.save()
    assert not (tmp_path / "replay.safetensors").exists()
    assert parts_of(tmp_path / "replay") == ["part_000000003.safetensors"]


def test_a_disk_that_refuses_does_not_end_the_run(tmp_path, pretrained, monkeypatch, caplog):
    perception = load_policy(pretrained).perception
    kept = RunReplay(tmp_path / "replay", Replay(1000, perception.fields, gamma=0.9), perception)
    (episode,) = online(1, seed=37)
    kept.add(episode, run_replay.for_replay(episode, perception, 0.9))

    def full(*_):
        raise CheckpointError("No space left")

    monkeypatch.setattr("policies.replay.replay_parts.save_contents", full)
    kept.save()
    assert "No space left" in caplog.text
    monkeypatch.undo()
    kept.save()
    assert parts_of(tmp_path / "replay") == ["part_000000001.safetensors"]
