"""Replay: every value names its episode and step, so that a misaligned field shows."""

import numpy as np
import pytest
import torch

from policies.batch import Batch
from policies.mix import MixedReplay
from policies.nstep import n_step
from policies.replay import Replay
from trajectories.errors import ConfigError
from trajectories.types import Source

GAMMA = 0.5


def make(capacity=1000, n=1, seed=0):
    fields = {"state": ((2,), torch.float32), "image": ((2, 2, 3), torch.uint8)}
    return Replay(capacity, fields, gamma=GAMMA, n_step=n, action_size=1, seed=seed)


def episode(number, steps, ended=True):
    """State = (episode, frame), action = episode + frame / 100, reward = -frame."""
    frames = np.arange(steps + 1, dtype=np.float32)
    terminated, truncated = np.zeros(steps, bool), np.zeros(steps, bool)
    (terminated if ended else truncated)[-1] = True
    return {
        "observation": {
            "state": np.stack([np.full(steps + 1, number, np.float32), frames], 1),
            "image": np.broadcast_to(frames.astype(np.uint8)[:, None, None, None], (steps + 1, 2, 2, 3)),
        },
        "executed": (number + frames[:-1, None] / 100).astype(np.float32),
        "rewards": -frames[:-1],
        "terminated": terminated,
        "truncated": truncated,
        "mc_returns": -100 * number - frames[:-1],
        "source": np.full(steps, number % 3, np.uint8),
        "instruction": number,
    }


def everything(replay):
    return replay.gather(torch.arange(replay.added - len(replay), replay.added))


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
    assert replay._frames["image"].dtype == torch.uint8
    assert replay._frames["image"].shape == (50, 2, 2, 3)


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
        (
            {"observation": {"state": np.zeros((3, 2)), "image": np.zeros((3, 2, 2, 3))}},
            "one frame more than there are actions",
        ),
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
