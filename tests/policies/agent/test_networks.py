"""The stacked ensemble against one critic at a time made of PyTorch's own layers."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from policies.agent.config import HistogramConfig, NetworkConfig
from policies.agent.fused import first_product, inner_product, norm_relu
from policies.agent.networks import Actor, CriticEnsemble, ValueNetwork, ensemble_outputs, ensemble_values, select

CONFIG = NetworkConfig(actor_hidden=(8, 6), critic_hidden=(10, 8, 6), critics=4, instruction_width=3)
STATE, EMBEDDING, ACTION = 5, 7, 2


@pytest.fixture
def ensemble():
    torch.manual_seed(0)
    critics = CriticEnsemble(CONFIG, STATE, EMBEDDING, ACTION)
    with torch.no_grad():
        for parameter in critics.parameters():  # biases and scales must count too
            parameter.add_(0.1 * torch.randn_like(parameter))
    return critics


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return torch.randn(6, STATE), torch.randn(3, EMBEDDING), torch.tensor([0, 2, 1, 1, 0, 2])


def one_critic(critics, index, state, embedding, action):
    """Written again with `linear` and `layer_norm`: concatenate, then layer by layer."""
    code = embedding @ critics.code_weight[index] + critics.code_bias[index]
    x = torch.cat([state, code, action], -1)
    weights = [torch.cat([part[index] for part in critics.first]), *[w[index] for w in critics.weights]]
    layers = zip(weights, critics.biases, critics.scales, critics.shifts, strict=True)
    for weight, bias, scale, shift in layers:
        x = F.linear(x, weight.T, bias[index, 0])
        x = F.relu(F.layer_norm(x, x.shape[-1:], scale[index, 0], shift[index, 0]))
    return (x @ critics.out_weight[index].T + critics.out_bias[index])[:, 0]


def test_ensemble_equals_single_critics(ensemble, inputs):
    state, table, ids = inputs
    action = torch.rand(6, ACTION) * 2 - 1
    values = ensemble(state, table, ids, action)
    assert values.shape == (4, 6)
    for index in range(4):
        assert torch.allclose(values[index], one_critic(ensemble, index, state, table[ids], action), atol=1e-5)


def test_gradients_equal_those_of_single_critics(ensemble, inputs):
    state, table, ids = inputs
    action = (torch.rand(6, ACTION) * 2 - 1).requires_grad_()
    mine = torch.autograd.grad(ensemble(state, table, ids, action).square().sum(), [action, *ensemble.tensors()])
    singles = [one_critic(ensemble, i, state, table[ids], action) for i in range(4)]
    theirs = torch.autograd.grad(torch.stack(singles).square().sum(), [action, *ensemble.tensors()])
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, atol=2e-4, rtol=1e-3)


def test_many_actions_a_state_equal_one_at_a_time(ensemble, inputs):
    state, table, ids = inputs
    actions = torch.rand(6, 5, ACTION) * 2 - 1
    values = ensemble(state, table, ids, actions)
    assert values.shape == (4, 6, 5)
    for i in range(5):
        assert torch.allclose(values[:, :, i], ensemble(state, table, ids, actions[:, i]), atol=1e-5)


def test_selected_critics_with_repeats_send_gradients_back(ensemble, inputs):
    state, table, ids = inputs
    action = torch.zeros(6, ACTION)
    index = torch.tensor([2, 2])
    values = ensemble_outputs(select(ensemble.tensors(), index), state, table, ids, action)
    every = ensemble(state, table, ids, action)
    assert torch.allclose(values, every[[2, 2]], atol=1e-6)
    values.sum().backward()
    gradient = ensemble.out_bias.grad[:, 0].tolist()
    assert gradient == [0.0, 0.0, 12.0, 0.0]  # 6 states, drawn twice


def test_critics_start_different(ensemble, inputs):
    state, table, ids = inputs
    values = ensemble(state, table, ids, torch.zeros(6, ACTION))
    assert values.std(0).min() > 1e-3


def test_instruction_and_action_change_the_value(ensemble, inputs):
    state, table, ids = inputs
    action = torch.zeros(6, ACTION)
    values = ensemble(state, table, ids, action)
    assert not torch.allclose(values, ensemble(state, table, (ids + 1) % 3, action), atol=1e-3)
    assert not torch.allclose(values, ensemble(state, table, ids, action + 0.5), atol=1e-3)


def test_parameters_and_tensors_are_the_same(ensemble):
    assert {id(t) for t in ensemble.tensors()} == {id(p) for p in ensemble.parameters()}


def test_norm_relu_is_layer_norm_and_relu_with_exact_gradients():
    torch.manual_seed(2)
    shapes = ((3, 4, 5), (3, 1, 5), (3, 1, 5), (3, 1, 5))
    x, bias, scale, shift = (torch.randn(s, dtype=torch.float64) for s in shapes)
    expected = torch.relu(F.layer_norm(x + bias, (5,)) * scale + shift)
    assert torch.allclose(norm_relu(x, bias, scale, shift), expected, atol=1e-9)
    assert torch.autograd.gradcheck(norm_relu, [t.requires_grad_() for t in (x, bias, scale, shift)])
    frozen = [t.detach() for t in (bias, scale, shift)]
    assert torch.autograd.gradcheck(lambda t: norm_relu(t, *frozen), [x])
    assert torch.autograd.gradcheck(lambda t: norm_relu(x.detach(), t, *frozen[1:]), [bias])


def test_norm_relu_keeps_its_input_and_its_gradient():
    x, ones, zeros = torch.randn(1, 3, 4, requires_grad=True), torch.ones(1, 1, 4), torch.zeros(1, 1, 4)
    before, gradient = x.detach().clone(), torch.ones(1, 3, 4)
    norm_relu(x, zeros, ones, zeros).backward(gradient)
    assert torch.equal(x.detach(), before)
    assert torch.equal(gradient, torch.ones(1, 3, 4))


def test_norm_relu_is_finite_for_a_constant_and_for_a_large_offset():
    constant = torch.full((1, 1, 4), 3.0, requires_grad=True)
    y = norm_relu(constant, torch.zeros(1, 1, 4), torch.ones(1, 1, 4), torch.ones(1, 1, 4))
    y.sum().backward()
    assert y.flatten().tolist() == [1.0] * 4
    assert torch.isfinite(constant.grad).all()
    offset = torch.tensor([[[1000.0, 1001.0, 1002.0, 1003.0]]])
    expected = torch.relu(F.layer_norm(offset, (4,)))
    plain = torch.zeros(1, 1, 4), torch.ones(1, 1, 4), torch.zeros(1, 1, 4)
    assert torch.allclose(norm_relu(offset, *plain), expected, atol=1e-3)


def test_first_product_has_exact_gradients():
    torch.manual_seed(3)
    sizes = ((3, 7, 4), (5, 2), (3, 5, 1), (5, 4))
    weight, a, b, c = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in sizes)
    joined = torch.stack([torch.cat([a, b[i], c], -1) @ weight[i] for i in range(3)])
    assert torch.allclose(first_product([a, b, c], weight), joined)
    assert torch.autograd.gradcheck(lambda *given: first_product(given[1:], given[0]), [weight, a, b, c])
    assert torch.autograd.gradcheck(lambda w, x, y: first_product([x, y], w), [weight[:, :6], a, c])


def test_first_product_multiplies_by_the_rows_whose_gradient_is_wanted():
    state, action = torch.randn(5, 40), torch.randn(5, 3, requires_grad=True)
    with torch.profiler.profile(with_flops=True) as profile:
        first_product([state, action], torch.randn(2, 43, 8)).sum().backward()
    products = [event.flops for event in profile.events() if event.name == "aten::bmm"]
    assert products == [2 * 2 * 5 * 43 * 8, 2 * 2 * 5 * 3 * 8]


def test_inner_product_has_exact_gradients():
    torch.manual_seed(3)
    sizes = ((3, 4, 5), (3, 1, 5), (3, 1))
    x, weight, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in sizes)
    assert torch.allclose(inner_product(x, weight, bias), (x * weight).sum(-1) + bias)
    assert torch.autograd.gradcheck(inner_product, [x, weight, bias])


def test_actor_looks_up_before_or_after_projecting(inputs):
    state, table, ids = inputs
    actor = Actor(CONFIG, STATE, EMBEDDING, ACTION)
    after = actor(state, actor.encode(table)[ids])
    before = actor(state, actor.encode(table[ids]))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(after, before, strict=True))


def test_log_std_is_clipped(inputs):
    state, table, ids = inputs
    tight = dataclasses.replace(CONFIG, log_std_min=-1.0, log_std_max=-0.5)
    actor = Actor(tight, STATE, EMBEDDING, ACTION)
    with torch.no_grad():
        actor.head.weight.mul_(1e6)
    log_std = actor(state, actor.encode(table)[ids])[1]
    assert log_std.min() == -1.0
    assert log_std.max() == -0.5


def plain(network, index, *inputs):
    """A stacked network without LayerNorm or language, layer by layer: concatenate, multiply, ReLU."""
    x = torch.cat(inputs, -1)
    weights = [torch.cat([part[index] for part in network.first]), *[w[index] for w in network.weights]]
    for weight, bias in zip(weights, network.biases, strict=True):
        x = torch.relu(x @ weight + bias[index, 0])
    if network.out_bias.ndim == 3:
        return x @ network.out_weight[index] + network.out_bias[index, 0]
    return (x @ network.out_weight[index].T + network.out_bias[index])[:, 0]


def disturbed(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("hidden", [(6,), (10, 8, 6)])
@pytest.mark.parametrize("bins", [None, HistogramConfig(5, -3.0, 2.0)])
def test_critics_without_norm_language_or_with_bins(inputs, hidden, bins):
    state, _, ids = inputs
    config = dataclasses.replace(CONFIG, critic_hidden=hidden, critic_norm=False, critic_bins=bins)
    critics = disturbed(CriticEnsemble(config, STATE, 0, ACTION))
    actions = torch.rand(6, 3, ACTION) * 2 - 1
    none = torch.zeros(0, 0)
    outputs = critics(state, none, ids, actions)
    values = ensemble_values(config, critics.tensors(), state, none, ids, actions)
    assert outputs.shape == ((4, 6, 3) if bins is None else (4, 6, 3, 5))
    assert values.shape == (4, 6, 3)
    for index in range(4):
        for m in range(3):
            expected = plain(critics, index, state, actions[:, m])
            assert torch.allclose(outputs[index, :, m], expected, atol=1e-5)
            if bins is not None:  # five bins of width 1 from -3 on
                expected = torch.softmax(expected, -1) @ torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5])
            assert torch.allclose(values[index, :, m], expected, atol=1e-5)
    assert {id(t) for t in critics.tensors()} == {id(p) for p in critics.parameters()}
    assert all(parameter.numel() > 0 for parameter in critics.parameters())


def test_gradients_without_norm_and_with_bins_equal_those_of_single_critics(inputs):
    state, _, ids = inputs
    config = dataclasses.replace(CONFIG, critic_norm=False, critic_bins=HistogramConfig(5, -3.0, 2.0))
    critics = disturbed(CriticEnsemble(config, STATE, 0, ACTION))
    action = torch.rand(6, ACTION) * 2 - 1
    mine = torch.autograd.grad(critics(state, torch.zeros(0, 0), ids, action).square().sum(), critics.tensors())
    singles = torch.stack([plain(critics, i, state, action) for i in range(4)])
    theirs = torch.autograd.grad(singles.square().sum(), critics.tensors())
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)


def test_value_network_sees_state_and_instruction_and_no_action(inputs):
    state, table, ids = inputs
    value = disturbed(ValueNetwork(dataclasses.replace(CONFIG, critic_norm=False), (9, 7), STATE, EMBEDDING))
    result = ensemble_values(dataclasses.replace(CONFIG, critic_norm=False), value.tensors(), state, table, ids, None)
    code = table[ids] @ value.code_weight[0] + value.code_bias[0]
    assert result.shape == (1, 6)
    assert torch.allclose(result[0], plain(value, 0, state, code), atol=1e-5)


@pytest.mark.parametrize("norm", [True, False])
def test_actor_norm_is_optional(norm):
    actor = Actor(dataclasses.replace(CONFIG, actor_norm=norm), STATE, 0, ACTION)
    assert sum(isinstance(layer, torch.nn.LayerNorm) for layer in actor.trunk) == (2 if norm else 0)


def test_shared_spread_is_one_for_all_states_and_learned(inputs):
    state, _, _ = inputs
    actor = Actor(dataclasses.replace(CONFIG, std="shared", log_std_max=0.5), STATE, 0, ACTION)
    mean, log_std = actor(state, None)
    assert mean.shape == log_std.shape == (6, ACTION)
    assert torch.equal(log_std, torch.zeros(6, ACTION))
    log_std.sum().backward()
    assert actor.log_std.grad.tolist() == [6.0, 6.0]
    with torch.no_grad():
        actor.log_std.copy_(torch.tensor([9.0, -9.0]))
    assert actor(state, None)[1][0].tolist() == [0.5, CONFIG.log_std_min]


def test_deterministic_actor_has_the_spread_of_its_exploration_and_no_parameter_for_it(inputs):
    state, _, _ = inputs
    actor = Actor(dataclasses.replace(CONFIG, policy="deterministic", exploration_noise=0.2), STATE, 0, ACTION)
    assert torch.allclose(actor(state, None)[1].exp(), torch.full((6, ACTION), 0.2))
    assert actor.head.out_features == ACTION
