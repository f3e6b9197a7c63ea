"""Replay: every value names its episode and step, so that a misaligned field shows."""

import numpy as np
import pytest
import torch
from helpers.replay_world import GAMMA, assert_same, episode, everything, make, observation
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.common.batch import Batch
from policies.replay.mixed_replay import MixedReplay
from policies.replay.nstep import n_step
from policies.replay.source_weights import SourceWeights
from trajectories.errors import ConfigError
from trajectories.types import Source


def test_every_field_of_a_transition_belongs_together():
    replay = make()
    for number, steps in enumerate((3, 5, 1, 7)):
        replay.add_episode(**episode(number, steps, ended=number % 2 == 0))
    batch = replay.sample(500)
    number, frame = batch.state.T
    assert torch.equal(batch.next_state[:, 0], number)
    assert torch.equal(batch.next_state[:, 1], frame + 1)
    assert torch.allclose(batch.action[:, 0], number + frame / 100)
    assert torch.equal(batch.reward, -frame)
    assert torch.equal(batch.mc_return, -100 * number - frame)
    assert torch.equal(batch.instruction, number.long())
    assert torch.equal(batch.source, (number % 3).to(torch.uint8))
    assert torch.equal(batch.imitate, (number % 3 != Source.POLICY).float())
    assert batch.observation["image"].dtype == torch.uint8
    assert torch.equal(batch.observation["image"][:, 0, 0, 0], frame.to(torch.uint8))
    assert torch.equal(batch.next_observation["image"][:, 1, 1, 2], (frame + 1).to(torch.uint8))


def test_truncation_bootstraps_from_its_own_last_frame():
    """Peers take time-outs for terminations, or bootstrap from the next episode's first frame."""
    replay = make()
    replay.add_episode(**episode(1, 4, ended=False))
    replay.add_episode(**episode(2, 4, ended=True))
    batch = everything(replay)
    assert batch.next_state[3].tolist() == [1.0, 4.0]
    assert batch.discount.tolist() == [GAMMA] * 4 + [GAMMA] * 3 + [0.0]


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_n_step_never_crosses_an_episode(n):
    replay = make(n=n)
    lengths = (4, 6, 2)
    for number, steps in enumerate(lengths):
        replay.add_episode(**episode(number, steps, ended=number == 1))
    batch = everything(replay)
    row = 0
    for number, steps in enumerate(lengths):
        for t in range(steps):
            m = min(n, steps - t)
            total = sum(GAMMA**i * -(t + i) for i in range(m))
            ended = number == 1 and t + m == steps
            assert batch.reward[row].item() == pytest.approx(total)
            assert batch.discount[row].item() == pytest.approx(0.0 if ended else GAMMA**m)
            assert batch.next_state[row].tolist() == [number, t + m]
            row += 1
    assert row == len(replay)


def test_n_step_stops_at_the_first_of_several_terminations():
    """The last three frames of a success have mask 0 each."""
    rewards = np.array([-1, -1, -1, 0, 0, 0], np.float32)
    terminated = np.array([0, 0, 0, 1, 1, 1], bool)
    total, discount, ahead = n_step(rewards, terminated, 0.9, 3)
    assert total.tolist() == pytest.approx([-2.71, -1.9, -1, 0, 0, 0])
    assert discount.tolist() == pytest.approx([0.729, 0, 0, 0, 0, 0])
    assert ahead.tolist() == [3, 3, 2, 1, 1, 1]


def test_each_frame_is_stored_once_and_images_stay_uint8():
    replay = make(capacity=50)
    for number in range(4):
        replay.add_episode(**episode(number, 9))
    assert replay.frames == 40
    assert len(replay) == 36
    images = replay._frames.columns["image"]
    assert images.dtype == torch.uint8
    assert images.shape == (50, 2, 2, 3)
    batch = everything(replay)
    assert {name: tensor.dtype for name, tensor in batch.observation.items()} == {
        "state": torch.float32, "image": torch.uint8, "wrist": torch.uint8, "feature": torch.float16
    }  # fmt: skip


def test_oldest_whole_episodes_make_room():
    replay = make(capacity=23)
    for number in range(20):
        replay.add_episode(**episode(number, 3 + number % 5, ended=number % 2 == 0))
        batch = everything(replay)
        held = sorted(set(batch.state[:, 0].int().tolist()))
        assert held == list(range(number + 1 - len(held), number + 1))
        assert len(replay) == sum(3 + i % 5 for i in held)
        assert replay.episodes == len(held)
        assert torch.equal(batch.next_state[:, 0], batch.state[:, 0])
        assert torch.equal(batch.next_state[:, 1], batch.state[:, 1] + 1)
        assert replay.frames <= 23


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(10, 40),
    n=st.integers(1, 5),
    episodes=st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=9),
)
def test_any_replay_holds_what_a_walk_through_its_episodes_gives(capacity, n, episodes):
    """Each episode is a list of terminations; one that doesn't end in True was truncated."""
    replay = make(capacity, n)
    for number, terminated in enumerate(episodes):
        steps = len(terminated)
        ends = {"terminated": np.array(terminated), "truncated": np.zeros(steps, bool)}
        replay.add_episode(**episode(number, steps, **ends))
    held = range(len(episodes) - replay.episodes, len(episodes))
    assert replay.frames == sum(len(episodes[number]) + 1 for number in held)
    if held[0] > 0:  # nothing was dropped without need
        assert replay.frames + len(episodes[held[0] - 1]) + 1 > capacity
    batch, row = everything(replay), 0
    for number in held:
        for t in range(len(episodes[number])):
            reward, discount, at = 0.0, 1.0, t
            while at < min(t + n, len(episodes[number])):
                reward -= discount * at
                discount *= GAMMA
                at += 1
                if episodes[number][at - 1]:
                    discount = 0.0
                    break
            assert batch.reward[row].item() == pytest.approx(reward)
            assert batch.discount[row].item() == pytest.approx(discount)
            assert batch.action[row, 0].item() == pytest.approx(number + t / 100)
            for seen, frame in ((batch.observation, t), (batch.next_observation, at)):
                assert seen["state"][row].tolist() == [number, frame]
                assert (seen["image"][row] == frame).all()
                assert (seen["wrist"][row] == number).all()
                assert (seen["feature"][row] == frame + number / 32).all()
            row += 1
    assert row == len(replay)


def test_batches_arrive_on_the_updates_device_from_where_frames_are_kept():
    """The meta device stands in for a GPU: it has shapes and dtypes only."""
    replay = make(device="meta", storage_device="cpu")
    replay.add_episode(**episode(1, 5))
    batch = replay.sample(3)
    assert batch.observation["image"].shape == (3, 2, 2, 3)
    for tensor in (*batch.observation.values(), *batch.next_observation.values(), batch.action, batch.instruction):
        assert tensor.device.type == "meta"
    assert {column.device.type for column in replay._frames.columns.values()} == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("storage", ["cpu", "cuda"])
def test_a_gpu_gets_the_same_transitions_from_either_memory(storage):
    host, gpu = make(), make(device="cuda", storage_device=storage)
    for number in range(6):
        for replay in (host, gpu):
            replay.add_episode(**episode(number, 7))
    index = torch.randint(0, 42, (500,))
    batches = [gpu.gather(index) for _ in range(20)]  # page-locked memory is used again
    for batch in batches:
        assert batch.action.device.type == "cuda"
        expected = host.gather(index)
        for name, tensor in expected.next_observation.items():
            assert torch.equal(batch.next_observation[name].cpu(), tensor)
    assert gpu.sample(64).state.device.type == "cuda"


def test_uniform_draws_are_those_of_the_first_version():
    """Seeded runs must stay what they were: numbers recorded before replay could do more than uniform draws."""
    replay = make(seed=7)
    for number in range(5):
        replay.add_episode(**episode(number, 6))
    assert replay.draw(12).tolist() == [15, 22, 1, 26, 13, 27, 17, 29, 28, 11, 28, 1]


def test_draws_are_uniform_over_transitions():
    replay = make()
    for number, steps in enumerate((1, 4)):
        replay.add_episode(**episode(number, steps))
    drawn = replay.sample(50_000)
    counts = np.array([(drawn.action[:, 0] == a).sum() for a in everything(replay).action[:, 0]])
    assert np.abs(counts / 50_000 - 0.2).max() < 0.01


def test_restored_draws_go_on_as_before():
    first, second = make(seed=1), make(seed=2)
    for replay in (first, second):
        for number in range(5):
            replay.add_episode(**episode(number, 6))
    first.sample(7)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(64).action, second.sample(64).action)


def test_restoring_into_a_replay_with_fewer_episodes_is_refused():
    first, second = make(), make()
    first.add_episode(**episode(0, 6))
    with pytest.raises(ConfigError, match="only 0"):
        second.load_state_dict(first.state_dict())


def test_imitation_can_be_chosen_step_by_step():
    replay = make()
    replay.add_episode(**episode(2, 3), imitate=np.array([True, False, True]))
    assert everything(replay).imitate.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros(4, np.float32)}, "rewards has shape"),
        ({"executed": np.zeros((3, 7), np.float32)}, "actions have shape"),
        ({"truncated": np.array([True, False, False])}, "before the last step"),
        ({"observation": {"state": np.zeros((4, 2), np.float32)}}, "fields"),
        ({"observation": observation(0, 2)}, "one frame more than there are actions"),
        ({"observation": observation(0, 3) | {"image": np.zeros((4, 2, 2, 3))}}, "'image' has dtype float64"),
        ({"source": np.full(3, 3, np.uint8)}, r"source 3 is unknown; expected 0 \(policy\)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change, message):
    replay = make()
    with pytest.raises(ConfigError, match=message):
        replay.add_episode(**(episode(0, 3) | change))
    assert len(replay) == 0


def test_too_long_episodes_and_empty_replays_are_refused():
    replay = make(capacity=5)
    with pytest.raises(ConfigError, match="empty"):
        replay.sample(1)
    with pytest.raises(ConfigError, match="doesn't fit"):
        replay.add_episode(**episode(0, 5))
    with pytest.raises(ConfigError, match="capacity=1"):
        make(capacity=1)


def mixed(ratio):
    online, offline = make(), make()
    online.add_episode(**episode(0, 10))
    offline.add_episode(**episode(2, 10))
    return MixedReplay(online, offline, ratio)


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (0.25, 16), (0.5, 32), (1.0, 64)])
def test_mix_draws_the_asked_share_in_every_minibatch(ratio, expected):
    batch = mixed(ratio).sample(64)
    assert (batch.state[:, 0] == 2).sum() == expected
    for part in batch.minibatches(4):
        assert len(part) == 16
        assert (part.state[:, 0] == 2).sum() == expected // 4


def test_without_retention_the_offline_replay_may_be_empty():
    online = make()
    online.add_episode(**episode(0, 10))
    assert len(MixedReplay(online, make(), 0.0).sample(8)) == 8


def test_a_mix_never_differs_silently_from_what_was_asked_for():
    online = make()
    online.add_episode(**episode(0, 10))
    with pytest.raises(ConfigError, match="empty"):
        MixedReplay(online, make(), 0.5).sample(8)
    with pytest.raises(ConfigError, match="empty"):
        MixedReplay(make(), online, 0.5).sample(8)


def test_restored_draws_of_a_mix_go_on_in_both_replays():
    first, second = mixed(0.5), mixed(0.5)
    first.sample(10)
    second.load_state_dict(first.state_dict())
    assert_same(first.sample(64), second.sample(64))
    with pytest.raises(ConfigError, match="without offline data"):
        second.load_state_dict(first.online.state_dict())


def test_mix_ratio_is_a_share():
    with pytest.raises(ConfigError, match="offline_ratio=2"):
        MixedReplay(make(), make(), 2)


def test_minibatches_partition_the_batch():
    batch = mixed(0.5).sample(24)
    parts = batch.minibatches(3)
    joined = Batch.concatenate(parts)
    for name in ("action", "reward", "mc_return"):
        assert sorted(getattr(joined, name).flatten().tolist()) == sorted(getattr(batch, name).flatten().tolist())
    with pytest.raises(ConfigError, match="multiple"):
        batch.minibatches(5)


@pytest.mark.parametrize("weights", [None, SourceWeights(policy=0.5, person=3.0)])
@pytest.mark.parametrize("n", [1, 3])
def test_an_episode_under_several_instructions_is_as_several_with_frames_kept_once(n, weights):
    """The same transitions in the same order, so that the same are drawn."""
    words = {0: (7,), 1: (8, 2, 5), 2: (3, 4)}
    shared, copied = make(60, n, transitions=200, weights=weights), make(200, n, weights=weights)
    for number, steps in enumerate((3, 5, 4)):
        shared.add_episode(**episode(number, steps, instruction=words[number]))
        for row in words[number]:
            copied.add_episode(**episode(number, steps, instruction=row))
    assert (shared.frames, copied.frames) == (4 + 6 + 5, 4 + 3 * 6 + 2 * 5)
    assert len(shared) == len(copied) == 3 + 3 * 5 + 2 * 4
    assert_same(everything(shared), everything(copied))
    assert_same(shared.sample(300), copied.sample(300))


def test_episodes_under_several_instructions_make_room_as_wholes():
    replay = make(100, transitions=25)
    for number in range(4):
        replay.add_episode(**episode(number, 5, instruction=(1, 2)))
    assert (replay.episodes, replay.frames, len(replay)) == (2, 12, 20)
    assert set(everything(replay).state[:, 0].tolist()) == {2.0, 3.0}
    with pytest.raises(ConfigError, match="5 steps under 6 instructions doesn't fit a replay of 25 transitions"):
        replay.add_episode(**episode(9, 5, instruction=range(6)))
    with pytest.raises(ConfigError, match="give it one instruction or more"):
        replay.add_episode(**episode(9, 5, instruction=()))
