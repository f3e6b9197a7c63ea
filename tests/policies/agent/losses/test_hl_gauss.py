"""HL-Gauss: the projection against the error function, scipy and its own mean; the loss against entropies."""

import math

import pytest
import torch
from scipy import stats

from policies.agent.config import HistogramConfig
from policies.agent.losses.hl_gauss import bin_edges, cross_entropy, expected_value, project
from policies.agent.networks import values_of
from trajectories.errors import ConfigError

ZERO = torch.zeros((), dtype=torch.float64)


def edges(low, high, bins):
    return bin_edges(low, high, bins, ZERO)


def test_edges_and_centres():
    assert edges(-2.0, 2.0, 4).tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    # all mass on one bin: its centre.
    logits = torch.tensor([[50.0, 0.0, 0.0, 0.0], [0.0, 0.0, 50.0, 0.0]], dtype=torch.float64)
    assert expected_value(logits, edges(-2.0, 2.0, 4)).tolist() == pytest.approx([-1.5, 0.5])


def test_projection_by_hand():
    """Target 1 in the bins [0, 1], [1, 2], [2, 3] with sigma 0.75: Phi at -4/3, 0, 4/3 and 8/3."""

    def phi(z):
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    total = phi(2 / 0.75) - phi(-1 / 0.75)
    expected = [0.5 - phi(-1 / 0.75), phi(1 / 0.75) - 0.5, phi(2 / 0.75) - phi(1 / 0.75)]
    probabilities = project(torch.tensor([1.0], dtype=torch.float64), edges(0.0, 3.0, 3), 0.75)[0]
    assert probabilities.tolist() == pytest.approx([mass / total for mass in expected], rel=1e-12)


def test_projection_is_the_truncated_normal_of_scipy():
    targets = torch.tensor([-3.0, -1.3, 0.2, 2.9], dtype=torch.float64)
    at = edges(-4.0, 4.0, 16)
    for target, row in zip(targets.tolist(), project(targets, at, 0.375), strict=True):
        normal = stats.truncnorm((-4 - target) / 0.375, (4 - target) / 0.375, loc=target, scale=0.375)
        masses = [normal.cdf(b) - normal.cdf(a) for a, b in zip(at[:-1].tolist(), at[1:].tolist(), strict=True)]
        assert row.tolist() == pytest.approx(masses, abs=1e-12)


def test_probabilities_sum_to_one_and_their_mean_is_the_target():
    """In float32, as in training, everywhere but within 3 sigmas of the support's ends."""
    histogram = HistogramConfig(bins=101, low=-22.0, high=2.0)
    at = bin_edges(-22.0, 2.0, 101, torch.zeros(()))
    targets = torch.linspace(-22 + 3 * histogram.std, 2 - 3 * histogram.std, 777)
    probabilities = project(targets, at, histogram.std)
    assert torch.allclose(probabilities.sum(-1), torch.ones(777), atol=1e-5)
    assert (probabilities >= 0).all()
    mean = probabilities @ ((at[1:] + at[:-1]) / 2)
    assert (mean - targets).abs().max() < 0.02 * 24 / 101  # a fiftieth of a bin


def test_sigma_is_in_bins():
    assert HistogramConfig(bins=4, low=-1.0, high=1.0).std == pytest.approx(0.75 * 0.5)


def test_targets_outside_of_the_support_count_as_its_ends():
    at = edges(0.0, 3.0, 6)
    outside, ends = torch.tensor([-9.0, 40.0], dtype=torch.float64), torch.tensor([0.0, 3.0], dtype=torch.float64)
    assert torch.equal(project(outside, at, 0.375), project(ends, at, 0.375))
    # a half-normal: its mean is 0.8 sigma away from its end.
    fine = edges(0.0, 3.0, 3000)
    mean = project(ends[:1], fine, 0.375) @ ((fine[1:] + fine[:-1]) / 2)
    assert mean.item() == pytest.approx(0.375 * math.sqrt(2 / math.pi), abs=1e-3)


def test_cross_entropy_is_least_at_the_target_and_is_its_entropy_there():
    probabilities = project(torch.tensor([0.4], dtype=torch.float64), edges(0.0, 1.0, 5), 0.15)
    logits = probabilities.log().requires_grad_()
    loss = cross_entropy(logits, probabilities)
    assert loss.item() == pytest.approx(stats.entropy(probabilities[0].numpy()))
    loss.sum().backward()
    assert logits.grad.abs().max() < 1e-12


def test_gradient_is_softmax_minus_target():
    logits = torch.tensor([[0.3, -1.0, 0.7]], dtype=torch.float64, requires_grad=True)
    probabilities = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    cross_entropy(logits, probabilities).sum().backward()
    weights = [math.exp(x) for x in (0.3, -1.0, 0.7)]
    expected = [w / sum(weights) - p for w, p in zip(weights, (0.2, 0.5, 0.3), strict=True)]
    assert logits.grad[0].tolist() == pytest.approx(expected, rel=1e-9)


def test_values_of_critics_that_classify_and_that_regress():
    outputs = torch.zeros(2, 3, 4)  # uniform histograms
    assert torch.allclose(values_of(outputs, HistogramConfig(4, -6.0, 2.0)), torch.full((2, 3), -2.0))
    assert values_of(outputs, None) is outputs


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"bins": 1}, "bins=1"), ({"low": 2.0}, "low < high"), ({"sigma": 0.0}, "sigma=0")],
)
def test_wrong_histograms_are_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        HistogramConfig(**{"bins": 11, "low": -1.0, "high": 1.0, **wrong})
