"""Pre-training on the stores of several robots at once."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, demos, fake_text
from helpers.other_robot import LACKING, OTHER, as_other
from helpers.small_policies import RED_WORDINGS, SMALL_CNN
from safetensors.torch import load_file

from policies.common.tensor_file import digest
from policies.learner.held_out import HeldOutEpisodes
from policies.learner.pretrain import pretrain
from policies.learner.recorded_data import RecordedData, distinct_ends
from policies.learner.store_shares import StoreShares, apportioned
from policies.policy import load_policy
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from trajectories.alignment import AlignedStore, Alignment, aligned
from trajectories.errors import CheckpointError, ConfigError
from trajectories.store import TrajectoryStore


@pytest.fixture(scope="module")
def other_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "bridge"
    with TrajectoryStore(path, OTHER) as store:
        for episode in demos(12, seed=8):
            store.commit(as_other(episode))
    return path


def train(stores, config, folder, **settings):
    torch.set_num_threads(1)
    return pretrain(stores, "red_disc", RED_WORDINGS, fake_text, "fake", config, folder, seed=3, **settings)


@pytest.mark.parametrize("encoder", [None, SMALL_CNN])
def test_one_store_gives_the_same_bits_whichever_way_it_is_read(demo_store, small_pretraining, tmp_path, encoder):
    config = replace(small_pretraining, clone_steps=4, steps=4, held_out=0.2, encoder=encoder)
    config = replace(config, keypoints=replace(config.keypoints, steps=4))
    with TrajectoryStore(demo_store, read_only=True) as store:
        plain = train([store], config, tmp_path / "plain")
        behind = AlignedStore(store, Alignment.of(SPEC, SPEC, {}, "it"))
        through = train([behind], config, tmp_path / "through")
    for name in ("features", "actor", "agent"):
        weights = [digest(load_file(tmp_path / way / f"{name}.safetensors")) for way in ("plain", "through")]
        assert weights[0] == weights[1]
    assert plain["held_out"] == through["held_out"]
    assert "stores" not in plain


@pytest.mark.parametrize("encoder", [None, SMALL_CNN])
@pytest.mark.parametrize("roles", [{"front": "top"}, {}])
def test_a_policy_for_the_first_stores_robot(demo_store, other_store, small_pretraining, tmp_path, encoder, roles):
    config = replace(small_pretraining, clone_steps=6, steps=4, batch=20, held_out=0.3, encoder=encoder)
    config = replace(config, keypoints=replace(config.keypoints, steps=4))
    with TrajectoryStore(demo_store, read_only=True) as own, TrajectoryStore(other_store, read_only=True) as other:
        stores = [own, aligned(other, SPEC, roles)]
        about = train(stores, config, tmp_path, shares=(0.7, 0.3))
        again = train(stores, config, tmp_path, shares=(0.7, 0.3))
        assert again["updates"] == about["updates"] == 10
    lacks = ", ".join(LACKING) + ("" if roles else ", camera front")
    assert about["stores"]["bridge"]["without"] == lacks
    assert about["stores"]["store"]["without"] == ""
    assert about["stores"]["bridge"]["share"] == 0.3
    for store in ("store", "bridge"):
        assert np.isfinite(about["held_out"][f"{store}/clone_nll"])
        assert np.isfinite(about["held_out"][f"{store}/td"])
    policy = load_policy(tmp_path, SPEC)
    assert policy.perception.gaps.size == (1 if roles else 2)
    observation = BlobWorld(np.random.default_rng(0)).reset()
    assert np.isfinite(policy.act(observation, deterministic=True)).all()
    assert json.loads((tmp_path / "pretraining.json").read_text())["stores"] == about["stores"]


def test_held_out_episodes_are_chosen_in_each_store(demo_store, other_store):
    with TrajectoryStore(demo_store, read_only=True) as own, TrajectoryStore(other_store, read_only=True) as other:
        data = RecordedData([own, aligned(other, SPEC, {})], "red_disc", {}, 0.3)
        for store in data.stores:
            alone = RecordedData([store], "red_disc", {}, 0.3)
            assert alone.held_out == data.held_out & set(store.ids())
            assert 0 < len(alone.held_out) < len(store)
            assert {episode.id for episode in data.measured([store])} == alone.held_out


def test_what_a_run_went_on_with_may_not_change(demo_store, other_store, small_pretraining, tmp_path):
    config = replace(small_pretraining, clone_steps=2, steps=0, encoder=SMALL_CNN)
    with TrajectoryStore(demo_store, read_only=True) as own, TrajectoryStore(other_store, read_only=True) as other:
        both = [own, aligned(other, SPEC, {})]
        train(both, config, tmp_path)
        with pytest.raises(CheckpointError, match="share"):
            train(both, config, tmp_path, shares=(0.5, 0.5))
        with pytest.raises(ConfigError, match=r"is in .* and in"):
            train([own, own], config, tmp_path / "twice")
        with pytest.raises(ConfigError, match="add up to 1"):
            train(both, config, tmp_path / "none", shares=(0.5, 0.6))
        with pytest.raises(ConfigError, match="one for each store"):
            train(both, config, tmp_path / "none", shares=(1.0,))


def test_shares_are_whole_numbers_that_add_up():
    assert apportioned([0.7, 0.3], 10) == [7, 3]
    assert apportioned([0.7, 0.3], 256) == [179, 77]
    assert apportioned([1 / 3, 1 / 3, 1 / 3], 256) == [86, 85, 85]
    assert apportioned([0.999, 0.001], 10) == [10, 0]
    assert apportioned([1.0, 0.0], 3) == [3, 0]


def numbered(first, count, seed=0):
    """A replay of one episode whose states are `first`, `first` + 1, ..."""
    replay = Replay(count + 1, {"state": ((1,), torch.float32)}, gamma=0.5, action_size=1, seed=seed)
    replay.add_episode(
        {"state": np.arange(first, first + count + 1, dtype=np.float32)[:, None]},
        np.zeros((count, 1), np.float32), np.zeros(count, np.float32), np.arange(count) == count - 1,
        np.zeros(count, bool), np.zeros(count, np.float32), np.zeros(count, np.uint8), 0, np.ones(count, bool),
    )  # fmt: skip
    return replay


def test_each_store_gives_its_share_of_every_batch_and_the_target_its_share_of_that():
    target, prior, foreign = numbered(0, 50), numbered(100, 400, 1), numbered(1000, 3, 2)
    own, other = MixedReplay(prior, target, 0.25), MixedReplay(foreign, foreign, 0.0)
    shares = StoreShares([own, other], (0.8, 0.2))
    for _ in range(3):
        states = shares.sample(20).state[:, 0]
        assert (states >= 1000).sum() == 4
        assert (states < 100).sum() == 4  # a quarter of the first store's 16
    kept = {name: tensor.clone() for name, tensor in shares.state_dict().items()}
    expected = shares.sample(20).state
    shares.sample(20)
    shares.load_state_dict(kept)
    assert torch.equal(shares.sample(20).state, expected)


def test_a_store_is_called_by_the_end_of_its_path(tmp_path):
    assert distinct_ends([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert distinct_ends([tmp_path / "a" / "data", tmp_path / "b" / "data"]) == ["a_data", "b_data"]
    assert distinct_ends([tmp_path / "a"]) == ["a"]


def test_figures_of_each_store_and_of_all(monkeypatch):
    """Squared errors 1, 1 and 7: 1 in the first store, 7 in the second, 3 of all, and the losses likewise."""
    from policies.learner import held_out

    errors = torch.tensor([1.0, 1.0, 7.0])

    class Agent:
        device, encoder = torch.device("cpu"), None

        class config:
            class networks:
                policy = "tanh_gaussian"

    monkeypatch.setattr(held_out, "_cloning", lambda agent, batch: (rows(batch), rows(batch)))
    monkeypatch.setattr(held_out, "_td", lambda agent, batch, draws: float(rows(batch).mean()))
    monkeypatch.setattr(held_out, "_q", lambda agent, batch: rows(batch))

    def rows(batch):
        return errors[batch.state[:, 0].long()]

    figures = HeldOutEpisodes(numbered(0, 3), {"own": 2, "other": 1, "empty": 0}).figures(Agent(), critics=True)
    for prefix, mean in (("", 3.0), ("own/", 1.0), ("other/", 7.0)):
        assert figures[f"{prefix}clone_nll"] == pytest.approx(mean)
        assert figures[f"{prefix}action_error"] == pytest.approx(mean**0.5)
        assert figures[f"{prefix}td"] == pytest.approx(mean)
        assert figures[f"{prefix}q"] == pytest.approx(mean)
    assert not [name for name in figures if name.startswith("empty")]
    one = HeldOutEpisodes(numbered(0, 3), {"own": 3}).figures(Agent(), critics=True)
    assert set(one) == {name for name in figures if "/" not in name}
