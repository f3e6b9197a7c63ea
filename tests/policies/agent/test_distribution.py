"""The policies' distributions against scipy, change of variables, quadrature and finite differences."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from policies.agent.distribution import (
    act,
    divergence,
    draw,
    kl,
    log_density,
    log_prob,
    log_tanh_slope,
    sample,
    smoothed,
)

MEAN = torch.tensor([[0.4, -1.2]], dtype=torch.float64)
LOG_STD = torch.tensor([[-0.3, 0.2]], dtype=torch.float64)


def density(action, mean, std):
    """Of tanh(N(mean, std)), from the cumulative distribution by central differences."""

    def cumulative(a):
        return 0.5 * (1 + math.erf((math.atanh(a) - mean) / (std * math.sqrt(2))))

    step = 1e-6
    return (cumulative(action + step) - cumulative(action - step)) / (2 * step)


@pytest.mark.parametrize("mean", [-1.5, 0.0, 0.7])
@pytest.mark.parametrize("std", [0.3, 1.2])
@pytest.mark.parametrize("action", [-0.9, -0.2, 0.5, 0.95])
def test_log_prob_is_the_derivative_of_the_cumulative_distribution(mean, std, action):
    value = log_prob(
        torch.tensor([mean], dtype=torch.float64),
        torch.tensor([math.log(std)], dtype=torch.float64),
        torch.tensor([action], dtype=torch.float64),
        0.999,
    )
    assert math.exp(value.item()) == pytest.approx(density(action, mean, std), rel=1e-4, abs=1e-8)


def test_density_integrates_to_one():
    grid = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[1:-1, None]
    moments = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.5], dtype=torch.float64)
    total = torch.trapezoid(log_prob(*moments, grid, 1 - 1e-12).exp(), grid[:, 0])
    assert total.item() == pytest.approx(1.0, abs=1e-4)


def test_sampled_and_given_actions_have_the_same_log_prob():
    generator = torch.Generator().manual_seed(0)
    mean, log_std = torch.randn(6, 7, generator=generator).double(), torch.full((6, 7), -0.7).double()
    action, value = sample(mean, log_std, torch.randn(6, 7, generator=generator).double())
    assert torch.allclose(value, log_prob(mean, log_std, action, 1 - 1e-12), atol=1e-6)


def test_sample_differentiates_like_finite_differences():
    noise = torch.tensor([[0.3, -1.1]], dtype=torch.float64)
    inputs = [torch.tensor([[0.2, -0.4]], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda m, s: sample(m, s, noise), inputs)


def test_correction_is_finite_and_exact_far_out():
    far = torch.tensor([-40.0, 0.0, 40.0])
    expected = 2 * (math.log(2) - 40.0)
    assert log_tanh_slope(far).tolist() == pytest.approx([expected, 0.0, expected], rel=1e-5)


def test_saturated_actions_have_finite_log_prob_and_gradient():
    mean = torch.zeros(1, 2, requires_grad=True)
    value = log_prob(mean, torch.zeros(1, 2), torch.tensor([[1.0, -1.0]]), 0.99)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert mean.grad.flatten().tolist() == pytest.approx([math.atanh(0.99), -math.atanh(0.99)], rel=1e-4)


def test_kl_is_the_mean_log_ratio_of_samples():
    rng = torch.Generator().manual_seed(3)
    first = torch.tensor([0.3, -0.2]).double(), torch.tensor([-0.5, 0.1]).double()
    second = torch.tensor([-0.1, 0.4]).double(), torch.tensor([0.2, -0.3]).double()
    actions, own = sample(*first, torch.randn(200_000, 2, generator=rng).double())
    ratio = own - log_prob(*second, actions, 1 - 1e-12)
    assert kl(*first, *second).item() == pytest.approx(ratio.mean().item(), abs=4 * float(ratio.std()) / 447)
    assert kl(*first, *first).item() == pytest.approx(0.0, abs=1e-12)


def test_noise_may_have_more_axes_than_the_moments():
    mean, log_std, noise = torch.zeros(5, 3), torch.zeros(5, 3), torch.randn(4, 5, 3)
    actions, values = sample(mean, log_std, noise)
    assert actions.shape == (4, 5, 3)
    assert values.shape == (4, 5)
    assert np.allclose(actions[2].numpy(), np.tanh(noise[2].numpy()), atol=1e-6)


def test_log_prob_is_scipys_normal_by_change_of_variables():
    action = np.array([[0.7, -0.95]])
    mean, std = MEAN.numpy(), np.exp(LOG_STD.numpy())
    expected = (stats.norm.logpdf(np.arctanh(action), mean, std) - np.log(1 - action**2)).sum()
    for value in (
        log_prob(MEAN, LOG_STD, torch.from_numpy(action), 0.9999),
        log_density("tanh_gaussian", MEAN, LOG_STD, torch.from_numpy(action), 0.9999),
    ):
        assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["tanh_gaussian", "gaussian"])
@pytest.mark.parametrize("which", [0, 1])
def test_gradient_of_the_log_density_by_finite_differences(kind, which):
    action, step = torch.tensor([[0.7, -0.95]], dtype=torch.float64), 1e-6
    inputs = [MEAN.clone().requires_grad_(), LOG_STD.clone().requires_grad_()]
    log_density(kind, *inputs, action, 0.9999).sum().backward()
    for entry in range(2):
        ends = []
        for sign in (1, -1):
            moved = [MEAN.clone(), LOG_STD.clone()]
            moved[which][0, entry] += sign * step
            ends.append(log_density(kind, *moved, action, 0.9999).item())
        assert inputs[which].grad[0, entry].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-7)


def test_an_unsquashed_gaussian_has_a_tanh_on_its_mean_and_is_not_clipped_in_its_density():
    action = np.array([[1.0, -0.2]])
    expected = stats.norm.logpdf(action, np.tanh(MEAN.numpy()), np.exp(LOG_STD.numpy())).sum()
    value = log_density("gaussian", MEAN, LOG_STD, torch.from_numpy(action), 0.5)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_an_unsquashed_gaussian_draws_clipped_actions_with_the_density_from_before():
    noise = torch.tensor([[0.1, -3.0]], dtype=torch.float64)
    action, value = draw("gaussian", MEAN, LOG_STD, noise)
    before = np.tanh(MEAN.numpy()) + np.exp(LOG_STD.numpy()) * noise.numpy()
    assert before[0, 1] < -1
    assert action[0].tolist() == pytest.approx([before[0, 0], -1.0])
    expected = stats.norm.logpdf(before, np.tanh(MEAN.numpy()), np.exp(LOG_STD.numpy())).sum()
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_a_deterministic_policy_has_one_action():
    action, value = draw("deterministic", MEAN, LOG_STD, torch.randn(5, 1, 2, dtype=torch.float64))
    assert action.shape == (5, 1, 2)
    assert torch.equal(action, torch.tanh(MEAN).expand(5, 1, 2))
    assert torch.equal(value, torch.zeros(5, 1, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["tanh_gaussian", "gaussian", "deterministic"])
def test_acting_without_noise_takes_the_mode_and_with_noise_the_spread(kind):
    noise = torch.tensor([[0.5, -0.25]], dtype=torch.float64)
    assert torch.equal(act(kind, MEAN, LOG_STD, None), torch.tanh(MEAN))
    spread = np.exp(LOG_STD.numpy()) * noise.numpy()
    squashed = np.tanh(MEAN.numpy() + spread)
    added = np.clip(np.tanh(MEAN.numpy()) + spread, -1, 1)
    expected = squashed if kind == "tanh_gaussian" else added
    assert np.allclose(act(kind, MEAN, LOG_STD, noise).numpy(), expected, rtol=1e-12)


def test_target_noise_is_clipped_and_so_is_the_action():
    mean = torch.atanh(torch.tensor([0.0, 0.0, 0.9, -0.4]))
    noise = torch.tensor([1.0, 9.0, 9.0, -1.0])
    # 0.2 * 1 = 0.2; 0.2 * 9 is clipped to 0.5; 0.9 + 0.5 is clipped to 1; -0.4 - 0.2.
    assert smoothed(mean, noise, 0.2, 0.5).tolist() == pytest.approx([0.2, 0.5, 1.0, -0.6])


def test_divergence_of_policies_without_squash_is_that_of_gaussians_around_the_mode():
    other = MEAN + 0.5
    distance = (np.tanh(MEAN.numpy()) - np.tanh(other.numpy())) ** 2 / (2 * np.exp(2 * LOG_STD.numpy()))
    for kind in ("gaussian", "deterministic"):
        assert divergence(kind, MEAN, LOG_STD, other, LOG_STD).item() == pytest.approx(distance.sum(), rel=1e-12)
    assert torch.equal(divergence("tanh_gaussian", MEAN, LOG_STD, other, LOG_STD), kl(MEAN, LOG_STD, other, LOG_STD))
