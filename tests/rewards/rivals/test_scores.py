"""The arithmetic of each rival, by hand."""

import itertools

import numpy as np
import pytest
import torch

from rewards.classifier import ImageFeatures
from rewards.rivals.goal_pictures import GoalDistance
from rewards.rivals.perceptual import Step, StepRewards, cut, select
from rewards.rivals.preferences import preference_loss
from rewards.rivals.vice import Discriminator, ViceConfig, discriminator_loss
from trajectories.errors import ConfigError

ACROSS, UP = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


def test_distance_to_the_mean_and_to_the_nearest_goal():
    frames = ImageFeatures(torch.cat([ACROSS, UP, ACROSS]))
    goals = {0: torch.cat([ACROSS, UP]), 1: UP}
    which = np.array([0, 0, 1])
    assert GoalDistance(goals, False).score(frames, which) == pytest.approx([0.0, 0.0, -(2**0.5)], abs=1e-6)
    assert GoalDistance(goals, True).score(frames, which) == pytest.approx([-(0.5**0.5)] * 2 + [-(2**0.5)], abs=1e-6)


def test_a_preference_is_worth_its_log_likelihood():
    better, worse = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    expected = -np.log([np.e / (np.e + 1), 1 / (1 + np.e**2)]).mean()
    assert float(preference_loss(better, worse)) == pytest.approx(expected, abs=1e-6)


def test_mixed_frames_have_mixed_labels():
    """A discriminator that says 0 of everything is worth log 2, mixed or not; a right one less unmixed."""
    torch.manual_seed(0)
    model = Discriminator(2, ViceConfig(spectral_norm=False))
    goals, others = ACROSS.repeat(256, 1), UP.repeat(256, 1)
    with torch.no_grad():
        for parameter in model.head[-1].parameters():
            parameter.zero_()
        assert [float(discriminator_loss(model, goals, others, m)) for m in (False, True)] == pytest.approx(
            [np.log(2)] * 2
        )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(50):
        loss = discriminator_loss(model, goals, others, mixup=False)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        plain, mixed = (float(discriminator_loss(model, goals, others, m)) for m in (False, True))
    assert plain < 0.05 < mixed


def test_spectral_normalisation_bounds_the_layers():
    torch.manual_seed(0)
    for bound, expected in ((True, pytest.approx(1.0, abs=0.05)), (False, pytest.approx(3.0))):
        model = Discriminator(8, ViceConfig(spectral_norm=bound, features=8))
        layer = model.trunk[0]
        with torch.no_grad():
            weight = layer.parametrizations.weight.original if bound else layer.weight
            weight.copy_(3.0 * torch.eye(8))
            for _ in range(20):
                model(torch.randn(4, 8))
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), ord=2)) == expected


def test_a_demonstration_is_cut_where_its_frames_change():
    frames = np.repeat([[0.0, 5.0], [3.0, 5.0], [3.0, 1.0]], [4, 6, 5], axis=0)
    frames = frames + np.random.default_rng(0).normal(0, 0.05, frames.shape)
    assert cut(frames, 3, 2) == [0, 4, 10]
    assert cut(frames, 1, 2) == [0]
    with pytest.raises(ConfigError, match=r"15 frames can't be cut into 4 steps of at least 4 frames"):
        cut(frames, 4, 4)


def test_the_cut_is_the_best_of_all():
    rng = np.random.default_rng(1)
    for _ in range(20):
        frames = rng.normal(size=(9, 3)).cumsum(axis=0)

        def cost(begins, frames=frames):
            return sum(frames[a:b].std(axis=0).mean() for a, b in itertools.pairwise([*begins, 9]))

        allowed = [[0, a, b] for a in range(2, 8) for b in range(a + 2, 8)]
        assert cost(cut(frames, 3, 2)) == pytest.approx(min(map(cost, allowed)))


def test_the_most_telling_features_are_kept_and_rewarded_near_their_mean():
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 4, generator=rng)
    inside, outside = noise[:100].clone(), noise[100:].clone()
    inside[:, 2] = 2.0 + 0.1 * inside[:, 2]
    outside[:, 2] *= 0.1
    step = select(inside, outside, 1, alpha=5.0)
    assert step.features.tolist() == [2]
    assert float(step.means[0]) == pytest.approx(2.0, abs=0.05)
    away = step.means + step.deviations
    frames = torch.zeros(3, 4)
    frames[:2, 2] = torch.cat([step.means, away])
    assert step.reward(frames).tolist() == pytest.approx([1.0, np.exp(-1.0), 0.0], abs=1e-4)


def test_later_steps_weigh_twice_as_much():
    def step(feature):
        return Step(torch.tensor([feature]), torch.tensor([1.0]), torch.tensor([0.01]))

    trunk = torch.eye(2)
    score = StepRewards({0: [step(0), step(1)]}).score(ImageFeatures(trunk, trunk), np.array([0, 0]))
    assert score.tolist() == pytest.approx([2.0, 4.0])
