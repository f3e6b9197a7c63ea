"""The policy as the robot runs it: repeatable, and suspicious of new weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, fake_text

from policies.perception.keypoint_perception import KeypointPerception
from policies.policy import FILE, LearnedPolicy, load_policy
from robot.link.codec import make_weights
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import Observation, Weights


@pytest.fixture
def policy(pretrained):
    return load_policy(pretrained, SPEC)


@pytest.fixture
def observation():
    return BlobWorld(np.random.default_rng(0)).reset()


def tensors_of(policy):
    return {name: tensor.numpy().copy() for name, tensor in policy._actor.state_dict().items()}


def test_actions_are_bounded_seeded_and_repeatable(policy, observation):
    policy.seed(4)
    first = [policy.act(observation) for _ in range(3)]
    policy.seed(4)
    second = [policy.act(observation) for _ in range(3)]
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert all(a.shape == (7,) and a.dtype == np.float32 and np.abs(a).max() <= 1 for a in first)
    mode = policy.act(observation, deterministic=True)
    assert np.array_equal(mode, policy.act(observation, deterministic=True))


def test_a_deterministic_policy_explores_around_its_action(policy, observation):
    mode = policy.act(observation, deterministic=True)
    networks = replace(policy.networks, policy="deterministic", exploration_noise=0.1)
    tensors = {name: torch.from_numpy(array) for name, array in tensors_of(policy).items()}
    for name in ("head.weight", "head.bias"):
        tensors[name] = tensors[name][:7]  # the means; there is no spread to learn
    explorer = LearnedPolicy(policy.perception, networks, tensors, seed=1)
    np.testing.assert_allclose(explorer.act(observation, deterministic=True), mode, atol=1e-6)
    tried = np.array([explorer.act(observation) for _ in range(200)])
    inside = np.abs(mode) < 0.6
    assert inside.any()
    np.testing.assert_allclose(tried.std(0)[inside], 0.1, atol=0.03)
    assert np.abs(tried).max() <= 1.0


def test_a_saved_policy_is_the_same(policy, observation, tmp_path):
    policy.save(tmp_path)
    again = load_policy(tmp_path)
    assert again.digest == policy.digest
    assert np.array_equal(again.act(observation, True), policy.act(observation, True))


def test_newer_weights_change_the_action_and_the_version_but_not_the_digest(policy, observation):
    before, digest = policy.act(observation, True), policy.digest
    tensors = tensors_of(policy)
    tensors["head.bias"] += 1.0
    policy.load(make_weights(3, tensors))
    assert policy.version == 3
    assert policy.digest == digest
    assert not np.allclose(policy.act(observation, True), before)


@pytest.mark.parametrize("fault", ["nan", "missing", "shape", "digest"])
def test_bad_weights_are_refused_and_the_old_ones_stay(policy, observation, fault):
    before = policy.act(observation, True)
    tensors = tensors_of(policy)
    if fault == "nan":
        tensors["head.bias"][0] = np.nan
    elif fault == "missing":
        del tensors["head.bias"]
    elif fault == "shape":
        tensors["head.bias"] = tensors["head.bias"][:-1]
    weights = make_weights(1, tensors)
    if fault == "digest":
        weights = Weights(1, "0" * 64, tensors)
    with pytest.raises(CheckpointError):
        policy.load(weights)
    assert policy.version == 0
    assert np.array_equal(policy.act(observation, True), before)


def test_an_unknown_instruction_is_named(policy, observation):
    other = Observation(observation.images, observation.proprio, "dance", observation.t_ns)
    with pytest.raises(ConfigError, match="dance"):
        policy.act(other)


def test_files_of_two_policies_do_not_mix(policy, pretrained, tmp_path):
    policy.save(tmp_path)
    other = KeypointPerception.load(pretrained)
    with torch.no_grad():
        other.net.head[-1].bias.add_(1.0)
    changed = KeypointPerception(other.net, other.scaling, other.text, SPEC, "front")
    changed.save(tmp_path)
    with pytest.raises(CheckpointError, match="another encoder"):
        load_policy(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(CheckpointError, match="There is no"):
        load_policy(tmp_path)


@pytest.mark.parametrize("which", ["pretrained", "pretrained_on_images"])
def test_a_policy_reads_further_words_through_its_text_tower(which, request, observation):
    policy = load_policy(request.getfixturevalue(which), SPEC)
    known, digest, source = policy.instructions, policy.digest, policy.perception.text.source
    before = policy.act(observation, deterministic=True)
    alike, other = f"{observation.instruction} ", "something else altogether"
    policy.read_also([alike, other, known[0]], fake_text, source)  # to the tower the first is what it knows
    assert policy.instructions == (*known, *sorted([alike, other]))
    assert policy.digest == digest
    assert np.array_equal(policy.act(observation, deterministic=True), before)
    assert np.allclose(policy.act(replace(observation, instruction=alike), True), before, atol=1e-5)
    assert not np.allclose(policy.act(replace(observation, instruction=other), True), before, atol=1e-3)
    with pytest.raises(ConfigError, match="text tower with the digest"):
        policy.read_also(["more"], fake_text, "another tower")
