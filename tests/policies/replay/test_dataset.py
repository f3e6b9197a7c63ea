"""From episodes to transitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos
from helpers.call_counter import CallCounter

from policies.policy import load_policy
from policies.replay.dataset import (
    fill_replay,
    for_replay,
    kept_offline,
    keypoint_frames,
    read_all,
)
from trajectories.errors import ConfigError
from trajectories.labels import relabel
from trajectories.store import TrajectoryStore
from trajectories.types import Source


@pytest.fixture(scope="module")
def perception(pretrained):
    return load_policy(pretrained).perception


def test_success_is_labelled_minus_one_then_three_zeros(perception):
    (episode,) = demos(1, seed=20)
    labelled = for_replay(replace(episode, rewards=episode.rewards * 0 + 5), perception, gamma=0.9)
    steps = len(episode)
    assert labelled.rewards.tolist() == [-1.0] * (steps - 3) + [0.0] * 3
    assert labelled.mc_returns[-4] == -1.0
    assert np.isclose(labelled.mc_returns[-5], -1.9)
    assert labelled.imitate.all()
    assert not labelled.truncated.any()


def test_another_discount_makes_returns_anew_and_another_outcome_labels_too(perception):
    (episode,) = demos(1, seed=20)
    made = CallCounter("relabel", "sparse_labels", "monte_carlo_returns")
    returns = []
    for name, changed, gamma in (
        ("as recorded", episode, 0.9),
        ("discount", episode, 0.5),
        ("outcome", replace(episode, outcome="failure"), 0.9),
        ("outcome, relabelled by whoever changed it", relabel(episode, "failure"), 0.9),
    ):
        made.side = name
        with made.watch():
            returns.append(for_replay(changed, perception, gamma).mc_returns)
    assert [tuple(made.of(name).values()) for name in ("as recorded", "discount")] == [(0, 0, 1)] * 2
    assert tuple(made.of("outcome").values()) == (1, 1, 1)
    assert tuple(made.of("outcome, relabelled by whoever changed it").values()) == (0, 0, 1)
    assert np.allclose([r[-5] for r in returns], [-1.9, -1.5, -10, -10])


@pytest.mark.parametrize("outcome", ["failure", "unknown"])
def test_anything_else_is_truncated_and_not_imitated(perception, outcome):
    (episode,) = demos(1, seed=20)
    labelled = for_replay(replace(episode, outcome=outcome), perception, gamma=0.9)
    assert not labelled.terminated.any()
    assert labelled.truncated.tolist() == [False] * (len(episode) - 1) + [True]
    assert np.allclose(labelled.mc_returns, -10.0)
    assert not labelled.imitate.any()


def test_the_policys_own_steps_are_not_imitated_but_a_persons_are(perception):
    (episode,) = demos(1, seed=20)
    source = np.full(len(episode), Source.POLICY, np.uint8)
    source[2:4] = Source.PERSON
    labelled = for_replay(replace(episode, source=source), perception, gamma=0.9)
    assert np.flatnonzero(labelled.imitate).tolist() == [2, 3]


def test_replay_holds_executed_actions_beside_their_own_states(perception):
    episodes = demos(3, seed=21)
    executed = [replace(e, proposed=e.proposed * 0) for e in episodes]
    replay = fill_replay([for_replay(e, perception, 0.9) for e in executed], perception.fields, gamma=0.9)
    assert len(replay) == sum(len(e) for e in episodes)
    assert replay.frames == sum(len(e) + 1 for e in episodes)
    first = len(episodes[0])
    batch = replay.gather(torch.tensor([first + 2]))
    states = perception.episode(episodes[1])
    assert np.allclose(batch.state[0], states[2])
    assert np.allclose(batch.next_state[0], states[3])
    assert np.allclose(batch.action[0], episodes[1].executed[2])
    assert int(batch.instruction[0]) == perception.instruction(episodes[1].instruction)


def test_frames_without_labels_are_left_out_and_the_rest_keep_their_image(perception):
    full, nothing = demos(2, seed=22)
    proprio = nothing.proprio.copy()
    proprio[:, SPEC.proprio.index("gripper_width")] = 0.0
    blind = replace(nothing, proprio=proprio)
    frames = keypoint_frames(iter([blind, full]), 100, perception.text, "front", SPEC.proprio)
    assert len(frames) == len(full) + 1
    assert np.array_equal(frames.images, full.images["front"])
    assert set(frames.episode) == {1}
    with pytest.raises(ConfigError, match="more than the 5 frames"):
        keypoint_frames([full], 5, perception.text, "front", SPEC.proprio)
    with pytest.raises(ConfigError, match="no episode"):
        keypoint_frames([], 5, perception.text, "front", SPEC.proprio)


@pytest.mark.parametrize(
    ("kept", "task", "expected"),
    [
        ("target", "red_disc", [0, 1]),
        ("successes", "red_disc", [0]),
        ("all", "red_disc", [0, 1, 2]),
        ("target", None, [0, 1, 2]),
        ("successes", None, [0, 2]),
    ],
)
def test_which_offline_episodes_a_method_keeps(kept, task, expected):
    (red,) = demos(1, seed=24)
    episodes = [
        replace(red, id="0"),
        replace(red, id="1", outcome="failure"),
        replace(red, id="2", task="blue_disc"),
        replace(red, id="3", metadata={"kind": "play"}),
        replace(red, id="4", metadata={"kind": "aftermath"}),
    ]
    assert [int(episode.id) for episode in kept_offline(episodes, task, kept)] == expected


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(ConfigError, match="demos"):
        fill_replay([], {}, gamma=0.9)


def test_stores_are_read_in_order(demo_store):
    store = TrajectoryStore(demo_store, read_only=True)
    ids = [e.id for e in read_all([store, store])]
    assert ids == store.ids() * 2
