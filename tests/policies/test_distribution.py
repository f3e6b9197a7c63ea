"""The tanh-Gaussian against change of variables, quadrature and finite differences."""

import math

import numpy as np
import pytest
import torch

from policies.distribution import kl, log_prob, log_tanh_slope, sample


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
