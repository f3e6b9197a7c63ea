"""A person's corrections beside the demonstrations: how batches are made up, counted; across restarts; refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import BlobWorld, record
from helpers.replay_world import assert_same, episode, make

from policies.learner.learner_config import LearnerConfig
from policies.replay.mixed_replay import MixedReplay
from policies.replay.source_weights import SourceWeights
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Source

CONFIG = LearnerConfig(
    steps=200, warmup_steps=20, utd=2, batch=32, max_lag=200, retention=0.5, corrections="both",
    publish_every=100, checkpoint_every=10, snapshot_every=100, log_every=50,
)  # fmt: skip
ONLINE, OFFLINE, PERSONS = 40, 20, 10
DRAWN = 40_000


def mixed(corrections="both", person_weight=1.0, **settings):
    """Online 30 steps of the policy and, in their middle, 10 of a person (episode 7); offline 20 of an expert."""
    online, offline = make(weights=SourceWeights(person=person_weight)), make(seed=1)
    source = np.full(ONLINE, Source.POLICY, np.uint8)
    source[12 : 12 + PERSONS] = Source.PERSON
    online.add_episode(**episode(7, ONLINE, source=source))
    offline.add_episode(**episode(2, OFFLINE))
    return MixedReplay(online, offline, corrections=corrections, **{"offline_ratio": 0.5} | settings)


def halves(batch):
    """The online half comes first."""
    return batch.source[: len(batch) // 2].numpy(), batch.source[len(batch) // 2 :].numpy()


def share(source, who):
    return (source == who).mean()


def test_a_persons_steps_are_drawn_in_both_halves_as_often_as_each_of_its_steps():
    online, offline = halves(mixed().sample(DRAWN))
    assert share(online, Source.EXPERT) == 0
    assert share(offline, Source.POLICY) == 0
    # 10 of 40 and 10 of 30; four standard deviations of 20,000 draws are 0.012 and 0.013
    assert share(online, Source.PERSON) == pytest.approx(PERSONS / ONLINE, abs=0.013)
    assert share(offline, Source.PERSON) == pytest.approx(PERSONS / (PERSONS + OFFLINE), abs=0.014)
    assert share(offline, Source.EXPERT) == pytest.approx(OFFLINE / (PERSONS + OFFLINE), abs=0.014)


def test_every_one_of_a_persons_steps_is_drawn_whole():
    """Action and next state belong to the state: steps 12 ... 21 of episode 7."""
    batch = mixed().sample(4000)
    rows = batch.source == Source.PERSON
    rows[:2000] = False
    frames = batch.state[rows, 1]
    assert set(frames.int().tolist()) == set(range(12, 12 + PERSONS))
    assert (batch.state[rows, 0] == 7).all()
    assert torch.equal(batch.next_state[rows, 1], frames + 1)
    assert torch.allclose(batch.action[rows, 0], 7 + frames / 100)
    assert torch.equal(batch.reward[rows], -frames)


def test_online_is_the_mix_of_before_to_the_bit():
    one, two = mixed("online"), mixed("online")
    batch = one.sample(64)
    assert_same(batch, type(batch).concatenate([two.online.sample(32), two.offline.sample(32)]))
    assert share(halves(one.sample(DRAWN))[1], Source.PERSON) == 0


def test_without_a_persons_steps_both_is_online_to_the_bit():
    mixes = []
    for corrections in ("both", "online"):
        online, offline = make(), make(seed=1)
        online.add_episode(**episode(0, ONLINE))
        offline.add_episode(**episode(2, OFFLINE))
        mixes.append(MixedReplay(online, offline, 0.5, corrections))
    assert_same(mixes[0].sample(64), mixes[1].sample(64))


def test_the_weight_of_persons_counts_in_the_online_half_alone():
    """With weight 3: 30 of 60 online; as before beside the demonstrations."""
    online, offline = halves(mixed(person_weight=3).sample(DRAWN))
    assert share(online, Source.PERSON) == pytest.approx(0.5, abs=0.015)
    assert share(offline, Source.PERSON) == pytest.approx(1 / 3, abs=0.014)


def test_with_weight_0_they_are_drawn_beside_the_demonstrations_alone():
    online, offline = halves(mixed(person_weight=0).sample(DRAWN))
    assert share(online, Source.PERSON) == 0
    assert share(offline, Source.PERSON) == pytest.approx(1 / 3, abs=0.014)


def test_minibatches_keep_the_shares():
    for part in mixed().sample(4 * 3000).minibatches(4):
        online, offline = halves(part)
        assert share(online, Source.EXPERT) == share(offline, Source.POLICY) == 0
        assert share(offline, Source.PERSON) == pytest.approx(1 / 3, abs=0.05)


def test_later_corrections_count_and_dropped_ones_do_not():
    mix = mixed()
    mix.sample(8)
    mix.online.add_episode(**episode(1, PERSONS))  # whose source is 1, a person
    assert share(halves(mix.sample(DRAWN))[1], Source.PERSON) == pytest.approx(0.5, abs=0.015)
    full = MixedReplay(make(capacity=ONLINE + 1), mix.offline, 0.5, "both")
    full.online.add_episode(**episode(1, ONLINE))
    full.sample(8)
    full.online.add_episode(**episode(0, ONLINE))
    assert share(halves(full.sample(400))[1], Source.PERSON) == 0


@pytest.mark.parametrize("changes", [{"corrections": "demonstrations"}, {"corrections": "both", "offline_ratio": 0.0}])
def test_a_place_that_does_not_exist_is_refused(changes):
    with pytest.raises(ConfigError, match=r"corrections=.*(expected one of online, both|retention 0.*method=rlpd)"):
        mixed(**changes)
    with pytest.raises(ConfigError, match="corrections="):
        replace(CONFIG, corrections=changes["corrections"], retention=changes.get("offline_ratio", 0.5))


def corrected(count, seed):
    """Episodes of 20 steps in which a person acts from step 5 to 9."""
    source = np.full(20, Source.POLICY, np.uint8)
    source[5:10] = Source.PERSON
    episodes = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        world.places["red"] = np.array([0.2, 0.0])  # on neither side: no success ends the episode
        act = lambda _, rng=rng: rng.uniform(-1, 1, 7)  # noqa: E731
        episodes.append(record(world, act, steps=20, source=Source.POLICY))
    return [replace(one, source=source) for one in episodes]


@pytest.mark.parametrize("killed", [False, True])
def test_corrections_survive_a_restart_of_the_learner(open_learner, demo_store, killed):
    settings = {"config": CONFIG, "offline": [TrajectoryStore(demo_store, read_only=True)], "task": "red_disc"}
    episodes = corrected(4, seed=50)
    whole, half = open_learner("whole", **settings), open_learner("half", **settings)
    for learner in (whole, half):
        for one in episodes:
            learner.put_episode(one)
        learner.train(20)
    if killed:
        half.store.close()  # the newest checkpoint is of update 20
    else:
        half.close()
    again = open_learner("half", **settings)
    held, persons = len(again.trainer.source.offline), 4 * 5
    assert len(again.trainer.source.online) == 80
    batch = again.trainer.source.sample(8000)
    assert_same(batch, whole.trainer.source.sample(8000))
    online, offline = halves(batch)
    assert share(online, Source.PERSON) == pytest.approx(0.25, abs=0.03)
    expected = persons / (persons + held)
    assert share(offline, Source.PERSON) == pytest.approx(expected, abs=0.03)
    assert share(offline, Source.EXPERT) == pytest.approx(1 - expected, abs=0.03)
