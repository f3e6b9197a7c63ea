"""Every loss against numbers worked out by hand or derived again in numpy."""

import math

import numpy as np
import pytest
import torch

from policies.agent.losses.actor import actor_loss, aggregate
from policies.agent.losses.anchor import anchor_loss, annealed
from policies.agent.losses.bc import balance, clone_mse, clone_nll
from policies.agent.losses.calql import calibrate
from policies.agent.losses.cql import conservative_gap
from policies.agent.losses.lagrange import lagrange_loss
from policies.agent.losses.td import next_value, td_loss, td_target
from policies.agent.losses.temperature import raw_of, temperature_loss, temperature_of


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_next_value_is_the_minimum_over_critics_of_the_single_action():
    values = torch.tensor([[[1.0], [5.0]], [[3.0], [-2.0]]])  # two critics, two states, one action
    assert next_value(values, torch.zeros(2, 1), None).tolist() == [1.0, -2.0]


def test_max_target_backup_takes_the_minimum_over_critics_first():
    # critic minima are (1, 0) and (2, 2.5): the best action of each state has 1 and 2.5.
    # Maximum first would give min(4, 3) = 3 for the first state.
    values = torch.tensor([[[1.0, 4.0], [2.0, 3.0]], [[3.0, 0.0], [9.0, 2.5]]])
    assert next_value(values, torch.zeros(2, 2), None).tolist() == [1.0, 2.5]


def test_entropy_of_the_chosen_action_is_used():
    values = torch.tensor([[[1.0, 4.0]]])
    assert next_value(values, tensor([100.0, -2.0]), torch.tensor(0.5)).item() == 4.0 + 1.0


def test_entropy_backup_is_discounted_and_masked():
    """A peer subtracts alpha log pi after the mask, so that terminal states get a bonus."""
    values, log_prob = torch.tensor([[[2.0], [2.0]]]), torch.tensor([[-3.0], [-3.0]])
    value = next_value(values, log_prob, torch.tensor(0.1))
    target = td_target(tensor(1.0, 1.0), tensor(0.9, 0.0), value, None)
    assert target.tolist() == pytest.approx([1.0 + 0.9 * (2.0 + 0.3), 1.0])


def test_truncation_bootstraps_and_termination_does_not():
    gamma = 0.95
    target = td_target(tensor(-1.0, 0.0), tensor(gamma, 0.0), tensor(-10.0, -10.0), (-20.0, 0.0))
    assert target.tolist() == pytest.approx([-1.0 - 9.5, 0.0])


def test_targets_are_clamped_to_the_possible_values():
    target = td_target(tensor(-1.0, -1.0), tensor(0.95, 0.95), tensor(-30.0, 7.0), (-20.0, 0.0))
    assert target.tolist() == [-20.0, 0.0]
    free = td_target(tensor(-1.0, -1.0), tensor(0.95, 0.95), tensor(-30.0, 7.0), None)
    assert free.tolist() == pytest.approx([-29.5, 5.65])


def test_td_loss_is_the_mean_over_critics_and_batch():
    assert td_loss(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), tensor(0.0, 1.0)).item() == (1 + 1 + 9 + 9) / 4


def test_td_gradient_of_each_critic_is_its_own():
    values = torch.tensor([[1.0], [5.0]], requires_grad=True)
    td_loss(values, tensor(0.0)).backward()
    assert values.grad.flatten().tolist() == [1.0, 5.0]  # 2 (q - y) / (N B)


def test_conservative_gap_with_importance_sampling_by_hand():
    # One state, A = 2: uniform density is 1/4, so log density is -2 log 2.
    data, random = torch.tensor([[1.0]]), torch.tensor([[[0.5]]])
    policy, log_prob = torch.tensor([[[2.0]]]), torch.tensor([[0.7]])
    expected = math.log(4 * math.exp(0.5) + math.exp(2.0 - 0.7)) - 1.0
    assert conservative_gap(data, random, policy, log_prob, 2).item() == pytest.approx(expected, rel=1e-6)


def test_conservative_gap_without_importance_sampling_joins_the_data_action():
    data, random, policy = torch.tensor([[1.0]]), torch.tensor([[[0.0]]]), torch.tensor([[[2.0]]])
    expected = math.log((1 + math.e**2 + math.e) / 3) - 1.0
    assert conservative_gap(data, random, policy, None, 2).item() == pytest.approx(expected, rel=1e-6)


def test_importance_sampling_estimates_the_integral():
    """For Q(a) = c a on [-1, 1], log int exp(Q) = log(2 sinh(c) / c); half uniform, half from a triangle."""
    rng, slope, count = np.random.default_rng(0), 1.7, 200_000
    uniform = rng.uniform(-1, 1, count)
    triangle = rng.triangular(-1, 1, 1, count)
    density = (triangle + 1) / 2
    gap = conservative_gap(
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor(slope * uniform)[None, None],
        torch.tensor(slope * triangle)[None, None],
        torch.tensor(np.log(density))[None],
        1,
    )
    exact = math.log(2 * math.sinh(slope) / slope)
    assert gap.item() - math.log(2 * count) == pytest.approx(exact, abs=0.01)


def test_calibration_bounds_policy_values_and_stops_their_gradient():
    values = torch.tensor([[[-8.0, -2.0]]], requires_grad=True)
    bounded = calibrate(values, tensor(-5.0))
    assert bounded.tolist() == [[[-5.0, -2.0]]]
    bounded.sum().backward()
    assert values.grad.tolist() == [[[0.0, 1.0]]]


def test_calibration_bounds_each_state_by_its_own_return():
    bounded = calibrate(torch.full((3, 2, 4), -10.0), tensor(-1.0, -7.0))
    assert (bounded[:, 0] == -1).all()
    assert (bounded[:, 1] == -7).all()


def test_lagrange_weight_grows_while_the_gap_is_too_large():
    weight = torch.tensor(0.3, requires_grad=True)
    lagrange_loss(weight, torch.tensor(2.0), 0.8).backward()
    assert weight.grad.item() == pytest.approx(-math.exp(0.3) * 1.2)


def test_cloning_ignores_steps_that_are_not_to_be_imitated():
    mean = torch.atanh(torch.tensor([[0.5, 0.0], [0.9, 0.9], [0.0, 0.0]]))
    action, mask = torch.tensor([[0.2, 0.4], [-1.0, -1.0], [0.6, 0.0]]), tensor(1.0, 0.0, 1.0)
    assert clone_mse(mean, action, mask).item() == pytest.approx((0.3**2 + 0.4**2 + 0.6**2) / 2)
    assert clone_mse(mean, action, tensor(0.0, 0.0, 0.0)).item() == 0.0
    noisy = clone_nll(mean, torch.zeros(3, 2), torch.zeros(3, 2), mask, 0.99)
    assert noisy.item() == pytest.approx(2 * 0.5 * math.log(2 * math.pi) + math.atanh(0.5) ** 2 / 4, rel=1e-6)


def test_balance_makes_both_terms_equally_large():
    reinforcement, cloning = torch.tensor(-7.5, requires_grad=True), torch.tensor(0.25, requires_grad=True)
    scaled = balance(reinforcement, cloning) * cloning
    assert scaled.item() == pytest.approx(7.5)
    scaled.backward()
    assert reinforcement.grad is None
    assert cloning.grad.item() == pytest.approx(30.0)


def test_balance_does_not_blow_up_when_cloning_is_perfect():
    assert balance(torch.tensor(10.0), torch.tensor(0.0)).item() == pytest.approx(10.0 / 0.05)


def test_actor_loss_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, -2.0]])
    assert aggregate(values, "mean").tolist() == [2.0, 0.0]
    assert aggregate(values, "min").tolist() == [1.0, -2.0]
    loss = actor_loss(tensor(2.0, 0.0), tensor(-1.0, 3.0), torch.tensor(0.5))
    assert loss.item() == pytest.approx(((-0.5 - 2.0) + 1.5) / 2)


def test_temperature_rises_while_the_entropy_is_too_small():
    raw = torch.tensor(0.2, requires_grad=True)
    temperature_loss(raw, tensor(4.0, 6.0), -7.0).backward()  # entropy -5 is above the target -7
    assert raw.grad.item() == pytest.approx(1 / (1 + math.exp(-0.2)) * (-5.0 + 7.0))
    raw.grad = None
    temperature_loss(raw, tensor(9.0), -7.0).backward()  # entropy -9 is below: descent raises alpha
    assert raw.grad.item() < 0


@pytest.mark.parametrize("value", [1e-3, 0.05, 1.0, 30.0])
def test_temperature_parameter_is_inverted(value):
    assert temperature_of(raw_of(value)).item() == pytest.approx(value, rel=1e-4)


def test_anchor_is_the_mean_divergence_of_two_gaussians():
    """Of N(1, 2) from N(0, 1), and of N(3, 1) from N(0, 1): 9 / 2."""
    mean, log_std, zero = tensor(1.0, 3.0)[:, None], tensor(math.log(2.0), 0.0)[:, None], torch.zeros(2, 1)
    loss = anchor_loss(mean, log_std, zero, zero)
    assert loss.item() == pytest.approx((math.log(1 / 2) + (4 + 1) / 2 - 0.5 + 4.5) / 2)


def test_anchor_weight_falls_linearly_and_stays():
    assert [annealed(2.0, step, 4) for step in (0, 1, 4, 9)] == [2.0, 1.5, 0.0, 0.0]
    assert [annealed(2.0, step, 4, final=1.0) for step in (0, 1, 4, 9)] == [2.0, 1.75, 1.0, 1.0]
