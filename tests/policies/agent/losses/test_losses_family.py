"""Losses of IQL, AWAC, TD3+BC and Cal-QL's gradient, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from policies.agent.losses.actor import aggregate, deterministic_loss
from policies.agent.losses.awr import advantage_weights, awr_loss
from policies.agent.losses.calql import calibrate
from policies.agent.losses.cql import conservative_gap
from policies.agent.losses.expectile import expectile_loss
from policies.agent.losses.td import next_value, td_target


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_expectile_loss_by_hand():
    # u = target - value = (2, -1): 0.9 * 4 and 0.1 * 1.
    loss = expectile_loss(tensor(1.0, 3.0), tensor(3.0, 2.0), 0.9)
    assert loss.item() == pytest.approx((0.9 * 4 + 0.1 * 1) / 2)


def test_expectile_of_a_half_is_half_the_squared_error():
    loss = expectile_loss(tensor(1.0, 3.0), tensor(3.0, 2.0), 0.5)
    assert loss.item() == pytest.approx(0.5 * (4 + 1) / 2)


@pytest.mark.parametrize("expectile", [0.1, 0.7, 0.9])
def test_the_minimum_is_the_expectile(expectile):
    """The expectile m of a sample solves tau E[(x - m)+] = (1 - tau) E[(m - x)+]."""
    values = np.random.default_rng(0).normal(size=400)

    def balance(m):
        return expectile * np.maximum(values - m, 0).mean() - (1 - expectile) * np.maximum(m - values, 0).mean()

    at = torch.tensor(optimize.brentq(balance, -5, 5), dtype=torch.float64, requires_grad=True)
    expectile_loss(at.expand(400), torch.from_numpy(values), expectile).backward()
    assert at.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_advantage_weights_grow_exponentially_and_are_clipped():
    weights = advantage_weights(tensor(0.0, 0.5, -1.0, 2.0, 1e4), 3.0, 100.0)
    expected = [1.0, math.exp(1.5), math.exp(-3.0), 100.0, 100.0]  # exp(6) = 403 is over the clip
    assert weights.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_weight_does_not_depend_on_the_rest_of_the_batch():
    """What AWAC's softmax over the batch would break."""
    alone = advantage_weights(tensor(0.3), 1 / 0.3, 100.0)
    among = advantage_weights(tensor(5.0, 0.3, -2.0), 1 / 0.3, 100.0)
    assert alone[0] == among[1]
    assert alone.item() == pytest.approx(math.e, rel=1e-6)


def test_weighted_cloning_by_hand():
    loss = awr_loss(tensor(-1.0, -4.0), tensor(0.5, 2.0))
    assert loss.item() == pytest.approx((0.5 * 1 + 2 * 4) / 2)


def test_td3_bc_divides_by_the_mean_size_of_the_values():
    # mean |Q| = 4, so lambda = 2.5 / 4; the gradient of -lambda mean Q reaches the values, none reaches lambda.
    values = torch.tensor([2.0, -6.0], requires_grad=True)
    loss = deterministic_loss(values, 2.5)
    assert loss.item() == pytest.approx(-(2.5 / 4) * (-2.0))
    loss.backward()
    assert values.grad.tolist() == pytest.approx([-2.5 / 4 / 2] * 2)


def test_without_a_scale_the_values_are_taken_as_they_are():
    assert deterministic_loss(tensor(2.0, -6.0), None).item() == pytest.approx(2.0)


def test_values_of_zero_give_a_finite_loss():
    values = torch.zeros(3, requires_grad=True)
    deterministic_loss(values, 2.5).backward()
    assert torch.isfinite(values.grad).all()


def test_td3_looks_at_the_first_critic_only():
    assert aggregate(torch.tensor([[1.0, 2.0], [0.0, 9.0]]), "first").tolist() == [1.0, 2.0]


def test_n_steps_discount_the_bootstrap_by_gamma_to_the_n():
    """Three rewards of -1 and a state of value -4, gamma 0.5: -1 - 0.5 - 0.25 - 0.125 * 4."""
    reward = -(1 + 0.5 + 0.25)
    target = td_target(tensor(reward, reward), tensor(0.5**3, 0.0), tensor(-4.0, -4.0), None)
    assert target.tolist() == pytest.approx([-2.25, -1.75])


def test_subset_minimum_is_over_the_drawn_critics():
    every = torch.tensor([[[5.0]], [[1.0]], [[3.0]]])
    assert next_value(every[[0, 2]], torch.zeros(1, 1), None).item() == 3.0
    assert next_value(every[[1, 1]], torch.zeros(1, 1), None).item() == 1.0


def test_calibrated_gap_pushes_only_what_is_above_the_bound():
    """The derivative of log sum exp is the sample's softmax weight where the bound is not active, and 0 where it is.

    Two policy actions of Q -8 (below the bound -5, so counted as -5) and -2, one uniform action of Q -9, which no bound
    touches; all densities are 1/2, A = 1.
    """
    policy = torch.tensor([[[-8.0, -2.0]]], requires_grad=True)
    random = torch.tensor([[[-9.0]]], requires_grad=True)
    data = torch.tensor([[-4.0]], requires_grad=True)
    log_prob = torch.full((1, 2), math.log(0.5))
    gap = conservative_gap(data, random, calibrate(policy, tensor(-5.0)), log_prob, 1)
    terms = [2 * math.exp(-9.0), 2 * math.exp(-5.0), 2 * math.exp(-2.0)]
    assert gap.item() == pytest.approx(math.log(sum(terms)) + 4.0, rel=1e-6)
    gap.backward()
    assert policy.grad.flatten().tolist() == pytest.approx([0.0, terms[2] / sum(terms)], rel=1e-5)
    assert random.grad.item() == pytest.approx(terms[0] / sum(terms), rel=1e-4)
    assert data.grad.item() == -1.0
