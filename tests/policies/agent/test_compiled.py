"""`torch.compile` and bfloat16: used where asked for, left out where they fail, with the same results."""

import dataclasses
import warnings

import pytest
import torch
from helpers.small_agent import batch, make, parameters

from policies.agent.compiled import compiled
from policies.agent.config import HistogramConfig, NetworkConfig, PhaseConfig

CPU = torch.device("cpu")
OFFLINE = PhaseConfig(cql_alpha=1.0, cql_actions=3, calibrated=True, bc_weight=1.0)


def double(x):
    return 2 * x


def test_nothing_is_compiled_unless_wanted(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    assert compiled(double, False, CPU) is double


def test_the_compiled_function_is_used(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda x: function(x) + 1)
    assert compiled(double, True, CPU)(3) == 7


def test_each_has_a_code_object_of_its_own_since_torch_counts_recompilations_of_one(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: seen.append(function) or function)
    assert [compiled(double, True, CPU)(3) for _ in range(2)] == [6, 6]
    assert len({id(function.__code__) for function in (*seen, double)}) == 3


def test_failing_compilation_warns_once_and_goes_on(monkeypatch):
    def broken(_):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    function = compiled(double, True, CPU)
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler"):
        assert function(3) == 6
    assert function(4) == 8


def moved(columns, device):
    """A batch on a device."""
    parts = {entry.name: getattr(columns, entry.name) for entry in dataclasses.fields(columns)}
    for name, value in parts.items():
        parts[name] = {k: v.to(device) for k, v in value.items()} if isinstance(value, dict) else value.to(device)
    return type(columns)(**parts)


def trained(rounds, device, **changes):
    """An agent after some updates of pre-training and fine-tuning."""
    agent = make(offline=OFFLINE, device=device, **changes)
    for phase in ("offline", "online"):
        agent.set_phase(phase)
        for seed in range(rounds):
            metrics = agent.update(moved(batch(12, seed), device), utd=2)
    return agent, metrics


NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def test_a_compiled_agent_learns_the_same(device):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="torch.compile failed")
        fast, metrics = trained(3, device, compile=True)
    plain, expected = trained(3, device)
    for name, tensor in parameters(plain.critics).items():
        torch.testing.assert_close(fast.critics.state_dict()[name], tensor, rtol=1e-3, atol=2e-5)
    for name, tensor in parameters(plain.actor).items():
        torch.testing.assert_close(fast.actor.state_dict()[name], tensor, rtol=1e-3, atol=2e-5)
    for name, value in expected.items():
        torch.testing.assert_close(metrics[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bins", [None, HistogramConfig(low=-20.0, high=0.0, bins=21)])
def test_bfloat16_gives_the_same_gradients_within_its_precision(bins):
    wide = NetworkConfig(actor_hidden=(64, 64), critic_hidden=(64, 64), critics=3, critic_bins=bins)
    found = []
    for bf16 in (False, True):
        agent = make(networks=wide, offline=OFFLINE, bf16=bf16)
        agent._step = lambda loss, *_: loss.backward()  # gradients without the steps
        agent.update(batch(64), utd=1)
        tensors = (*agent.critics.parameters(), *agent.actor.parameters())
        assert {t.dtype for t in tensors} == {t.grad.dtype for t in tensors} == {torch.float32}
        found.append(torch.cat([t.grad.flatten() for t in tensors]))
    assert not torch.equal(*found)
    assert torch.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize("bins", [None, HistogramConfig(low=-20.0, high=0.0, bins=21)])
def test_bfloat16_tells_neighbouring_values_apart(bins):
    """Values of -16 and spreads of -4, as they are in training; bfloat16 itself has steps of 0.125 and 0.03 there."""
    agent = make(networks=NetworkConfig(actor_hidden=(64,), critic_hidden=(64,), critics=3, critic_bins=bins))
    with torch.no_grad():
        agent.critics.out_bias.add_(-16.0)
        agent.actor.head.bias.add_(-4.0)
    some = batch(64)
    inputs = some.state, agent.table, some.instruction
    with torch.autocast("cpu", torch.bfloat16):
        values = agent.critics(*inputs, some.action)
        moments = agent.actor(some.state, agent.actor.codes(agent.table, some.instruction))
    for output in (values, *moments):
        assert output.dtype == torch.float32
        assert not torch.equal(output, output.bfloat16().float())
