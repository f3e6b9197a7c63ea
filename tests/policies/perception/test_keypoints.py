"""The encoder finds what the instruction speaks of."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos, fake_text

from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_training import augment, measure, train_keypoints
from policies.perception.keypoints import KeypointNet, KeypointNetConfig, as_input
from policies.perception.labelled_frames import split_episodes
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames
from trajectories.errors import ConfigError


def frames_of(episodes, text):
    frames = keypoint_frames(episodes, 5000, text, "front", SPEC.proprio)
    return replace(frames, proprio=ProprioScaling.fit(frames.proprio).apply(frames.proprio))


@pytest.fixture(scope="module")
def text():
    return TextTable.build({e.instruction for e in demos(8, seed=0)}, fake_text, "fake")


def test_training_beats_the_mean_by_far_on_scenes_never_seen(text):
    episodes = demos(160, seed=0)
    frames = frames_of(episodes, text)
    net, errors = train_keypoints(frames, KeypointConfig(steps=120, batch=32, holdout=0.1), seed=0)
    _, held = split_episodes(frames.episode, 0.1, np.random.default_rng(0))
    spread = 100 * np.linalg.norm(frames.values[held, :3] - frames.values[:, :3].mean(axis=0), axis=1).mean()
    assert spread > 8.0  # cm: what always naming the middle would miss by
    assert errors.pick_cm < 0.5 * spread
    assert errors.place_cm < 3.0
    assert errors == measure(net, frames, held)


def test_the_same_frames_and_seed_give_the_same_network(text):
    frames = frames_of(demos(6, seed=1), text)
    config = KeypointConfig(steps=3, batch=8)
    first, second = (train_keypoints(frames, config, seed=5)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_instruction_changes_what_is_seen(text):
    net = KeypointNet(KeypointNetConfig(64, len(SPEC.proprio), text.rows.shape[1]))
    images = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1) - 0.5
    seen = net(images, torch.zeros(2, len(SPEC.proprio)), torch.from_numpy(text.rows[:2]))
    assert not torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize("size", [64, 96, 128])
def test_every_size_gives_maps_of_16_by_16(size):
    net = KeypointNet(KeypointNetConfig(size, 13, 8))
    stem = net.stem(torch.zeros(1, 3, size, size))
    assert net.down(stem).shape[2:] == (16, 16)
    assert net(torch.zeros(1, 3, size, size), torch.zeros(1, 13), torch.zeros(1, 8)).shape == (1, 8)


def test_other_sizes_are_refused():
    with pytest.raises(ConfigError, match="64, 96, 128"):
        KeypointNetConfig(100, 13, 8)


def test_input_is_centred_and_channels_come_second():
    images = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    images[0, 0, 1, 2] = 255
    scaled = as_input(images)
    assert scaled.shape == (1, 3, 2, 2)
    assert scaled[0, 2, 0, 1] == 0.5
    assert scaled[0, 0, 0, 0] == -0.5


def test_without_changes_augmentation_is_the_plain_input():
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    still = KeypointConfig(brightness=0.0, colour=0.0, shift=0)
    plain = as_input(torch.from_numpy(images))
    assert torch.allclose(augment(images, still, np.random.default_rng(0)), plain, atol=1e-6)
    moved = augment(images, KeypointConfig(brightness=0.0, colour=0.0, shift=1), np.random.default_rng(1))
    assert not torch.allclose(moved, plain)


def test_unlabelled_entries_do_not_train(text):
    """With the place masked everywhere, no gradient reaches the place outputs of the last layer."""
    frames = frames_of(demos(4, seed=2), text)
    frames.mask[:, 5:] = 0.0
    config = KeypointConfig(steps=4, batch=8, weight_decay=0.0)
    net, errors = train_keypoints(frames, config, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = KeypointNet(net.config)
    assert torch.equal(net.head[-1].weight[5:], fresh.head[-1].weight[5:])
    assert not torch.equal(net.head[-1].weight[:3], fresh.head[-1].weight[:3])
    assert math.isnan(errors.place_cm)


def test_held_out_episodes_are_whole():
    episode = np.repeat(np.arange(10), 7)
    train, held = split_episodes(episode, 0.2, np.random.default_rng(0))
    assert len(held) == 14
    assert not set(episode[train]) & set(episode[held])


def test_no_label_at_all_is_an_error(text):
    frames = frames_of(demos(2, seed=3), text)
    frames.mask[:] = 0.0
    with pytest.raises(ConfigError, match="closing on something"):
        train_keypoints(frames, KeypointConfig(steps=1), seed=0)
