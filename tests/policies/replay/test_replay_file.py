"""A replay in a file: the same content and the same draws, or a clear refusal that changes nothing."""

import os

import pytest
import torch
from helpers.replay_world import FIELDS, GAMMA, assert_same, episode, everything, make
from safetensors.torch import save_file

from policies.replay import replay_file
from policies.replay.replay import Replay
from policies.replay.source_weights import SourceWeights
from trajectories.errors import CheckpointError

WEIGHTS = SourceWeights(person=1.7, expert=0.3)


def filled(episodes=12, **settings):
    replay = make(**settings)
    for number in range(episodes):
        replay.add_episode(**episode(number, 3 + number % 5, ended=number % 2 == 0))
    return replay


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("capacity", [1000, 31])
@pytest.mark.parametrize("piece", [1, 70, 1 << 20])
def test_content_and_draws_go_on_bit_for_bit(tmp_path, monkeypatch, weights, capacity, piece):
    """Also when the rings have gone around, and when more episodes come and old ones go."""
    monkeypatch.setattr(replay_file, "PIECE_BYTES", piece)
    settings = {"capacity": capacity, "weights": weights, "n": 3}
    replay = filled(**settings, seed=5)
    replay.sample(9)
    replay.save(tmp_path / "replay")
    again = filled(episodes=2, **settings, seed=6)
    again.load(tmp_path / "replay")
    assert (again.episodes, again.frames, again.added, len(again)) == (
        replay.episodes, replay.frames, replay.added, len(replay)
    )  # fmt: skip
    for number in range(12, 20):
        assert_same(replay.sample(16), again.sample(16))
        for each in (replay, again):
            each.add_episode(**episode(number, 4))
    assert_same(everything(replay), everything(again))
    assert replay._mass == again._mass
    for name in replay._rows.fields:
        assert torch.equal(torch.cat(replay._rows.held(name)), torch.cat(again._rows.held(name)))


def test_the_capacity_may_grow_and_must_hold_the_frames(tmp_path):
    replay = filled(capacity=31)
    replay.save(tmp_path / "replay")
    large = make(capacity=500)
    large.load(tmp_path / "replay")
    assert_same(everything(replay), everything(large))
    assert_same(replay.sample(50), large.sample(50))
    small = make(capacity=replay.frames - 1)
    with pytest.raises(CheckpointError, match=f"holds {replay.frames} frames, this replay {replay.frames - 1}"):
        small.load(tmp_path / "replay")


def test_weights_may_change(tmp_path):
    filled(weights=WEIGHTS).save(tmp_path / "replay")
    person_only = make(weights=SourceWeights(policy=0.0, expert=0.0))
    person_only.load(tmp_path / "replay")
    assert set(person_only.sample(200).source.tolist()) == {1}
    plain = make()
    plain.load(tmp_path / "replay")
    assert_same(everything(plain), everything(filled()))


def test_an_empty_replay_can_be_saved(tmp_path):
    make(seed=3).save(tmp_path / "replay")
    again = filled(seed=4)
    again.load(tmp_path / "replay")
    assert (len(again), again.added) == (0, 0)
    fresh = make(seed=3)
    for replay in (again, fresh):
        replay.add_episode(**episode(1, 9))
    assert_same(again.sample(20), fresh.sample(20))


def other(**settings):
    return Replay(1000, settings.pop("fields", FIELDS), **({"gamma": GAMMA, "action_size": 1} | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 0.9}, "gamma = 0.5; expected 0.9"),
        ({"n_step": 2}, "n_step = 1; expected 2"),
        ({"action_size": 7}, "action_size = 1; expected 7"),
        ({"fields": {"state": ((2,), torch.float32)}}, "saved with fields"),
        ({"fields": FIELDS | {"feature": ((4,), torch.float32)}}, "saved with fields"),
    ],
)
def test_a_replay_with_other_settings_is_refused(tmp_path, settings, message):
    filled().save(tmp_path / "replay")
    with pytest.raises(CheckpointError, match=message):
        other(**settings).load(tmp_path / "replay")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_draws_of_another_kind_of_device_are_refused(tmp_path):
    filled().save(tmp_path / "replay")
    gpu = filled(3, device="cuda")
    with pytest.raises(CheckpointError, match="storage_device = cpu; expected cuda"):
        gpu.load(tmp_path / "replay")
    gpu.save(tmp_path / "replay")
    again = make(device="cuda")
    again.load(tmp_path / "replay")
    assert torch.equal(gpu.sample(30).action, again.sample(30).action)


@pytest.mark.parametrize("where", [0.01, 0.5, 0.99])
def test_a_flipped_bit_is_found_and_changes_nothing(tmp_path, where):
    path = tmp_path / "replay"
    filled(20).save(path)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    replay, untouched = filled(3), filled(3)
    with pytest.raises(CheckpointError):
        replay.load(path)
    assert_same(everything(replay), everything(untouched))
    assert_same(replay.sample(30), untouched.sample(30))


def test_missing_cut_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "replay"
    with pytest.raises(CheckpointError, match="There is no"):
        make().load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="holds None; expected 'regrasp-replay-1'"):
        make().load(path)
    filled().save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        make().load(path)


def test_a_caller_may_refuse_what_it_finds_before_anything_changes(tmp_path):
    filled().save(tmp_path / "replay", {"episodes": ["a", "b"]})
    seen = []

    def refuse(about):
        seen.append(dict(about))
        raise CheckpointError("not mine")

    replay = make()
    with pytest.raises(CheckpointError, match="not mine"):
        replay.load(tmp_path / "replay", refuse)
    assert seen == [{"episodes": ["a", "b"]}]
    assert len(replay) == 0


def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "replay"
    older = filled(4)
    older.save(path)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(CheckpointError, match="No space left"):
        filled(8).save(path)
    again = make()
    again.load(path)
    assert_same(everything(again), everything(older))
    assert os.listdir(tmp_path) == ["replay"]


def test_instructions_that_share_frames_are_kept(tmp_path):
    weights = SourceWeights(person=3.0)
    replay, again = (make(100, transitions=60, seed=seed, weights=weights) for seed in (0, 5))
    for number, words in enumerate([(1, 2, 3), (4,), (5, 6)]):
        replay.add_episode(**episode(number, 4 + number, instruction=words))
    replay.save(tmp_path / "replay")
    again.load(tmp_path / "replay")
    assert_same(everything(replay), everything(again))
    for one in (replay, again):
        one.add_episode(**episode(9, 20, instruction=(7, 8)))  # the first ones make room
    assert replay.episodes == again.episodes == 3
    assert_same(replay.sample(100), again.sample(100))
    replay.save(tmp_path / "replay")
    with pytest.raises(CheckpointError, match="holds 57 transitions, this replay 50"):
        make(100, transitions=50, weights=weights).load(tmp_path / "replay")
