"""Updates as one graph: captured for every method, and the same as eager ones."""

import dataclasses
import warnings

import pytest
import torch
from helpers.small_agent import batch, make, parameters, small

from policies.agent.config import PhaseConfig
from policies.agent.methods import METHODS
from policies.agent.stacked_product import SMALLEST, onednn_is_wider, stacked_product, use_onednn


@pytest.fixture
def captured(monkeypatch):
    """Graphs run as they were captured, which takes a second where the compiler takes ten; the names they had."""
    found = []
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, _: found.append(graph) or graph)
    return found


@pytest.mark.parametrize("family", ["locomotion", "antmaze"])
@pytest.mark.parametrize("name", METHODS.own)
def test_every_method_learns_the_same_as_one_graph(name, family, captured):
    agents = [small(name, family, compile_) for compile_ in (True, False)]
    for phase in ("offline", "warmup", "online"):
        for agent in agents:
            agent.set_phase(phase)
        for seed in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results = [agent.update(batch(12, seed), utd=2) for agent in agents]
            assert results[0].keys() == results[1].keys()
            for key, value in results[1].items():
                torch.testing.assert_close(results[0][key], value, rtol=1e-4, atol=1e-5, msg=f"{phase} {key}")
    fast, plain = (agent.state() for agent in agents)
    assert fast[1] == plain[1]
    assert fast[0].keys() == plain[0].keys()
    for key, value in plain[0].items():
        torch.testing.assert_close(fast[0][key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert bool(captured) == (agents[0].config.offline.extraction != "bc")


def test_a_checkpoint_goes_on_compiled_or_not(captured):
    """Four updates, of which the last two go on from the state of an agent of the other kind."""
    states = []
    for kinds in ((True, True), (True, False), (False, True), (False, False)):
        first, second = (small("wsrl", "antmaze", kind) for kind in kinds)
        for seed in range(2):
            first.update(batch(12, seed))
        second.load_state(*first.state())
        for seed in range(2, 4):
            second.update(batch(12, seed))
        states.append(second.state()[0])
    for state in states[:-1]:
        for key, value in states[-1].items():
            torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_one_graph_serves_all_batches_of_a_size(captured):
    agent = make(compile=True, offline=PhaseConfig())
    for seed in range(3):
        agent.update(batch(12, seed), utd=3)
    assert len(captured) == 2  # the critics' and the actor's
    agent.update(batch(6))
    assert len(captured) == 4


def test_a_batch_that_lies_otherwise_in_memory_has_its_own_graph(captured):
    agent, plain = make(compile=True), make()
    some = batch(12)
    turned = dataclasses.replace(some, action=some.action.t().contiguous().t())
    for one in (some, turned):
        agent.update(one)
        plain.update(one)
    assert len(captured) == 4
    for name, tensor in parameters(plain.critics).items():
        torch.testing.assert_close(agent.critics.state_dict()[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_what_can_not_be_compiled_says_why_and_goes_on(monkeypatch):
    def broken(*_):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    agent, plain = make(compile=True), make()
    with pytest.warns(RuntimeWarning, match=r"can't be compiled as one graph: RuntimeError: no C\+\+ compiler"):
        agent.update(batch())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.update(batch(seed=1))
    for seed in (0, 1):
        plain.update(batch(seed=seed))
    for name, tensor in parameters(plain.critics).items():
        assert torch.equal(agent.critics.state_dict()[name], tensor), name


@pytest.mark.parametrize("inputs", ["plain", "shared", "transposed"])
def test_products_by_onednn_are_those_of_bmm(inputs):
    x, weight = torch.randn(3, 20, 7), torch.randn(3, 7, 5)
    if inputs == "shared":
        x = x[0].expand(3, 20, 7)
    if inputs == "transposed":
        x, weight = torch.randn(3, 7, 20).transpose(1, 2), torch.randn(3, 5, 7).transpose(1, 2)
    torch.testing.assert_close(stacked_product(x, weight), torch.bmm(x, weight))


@pytest.mark.parametrize("wider", [True, False])
def test_large_products_alone_are_replaced(wider, monkeypatch):
    monkeypatch.setattr("policies.agent.stacked_product.onednn_is_wider", lambda: wider)
    large, tiny = torch.randn(2, SMALLEST // 100 + 1, 10), torch.randn(2, 10, 10)
    graph = torch.fx.experimental.proxy_tensor.make_fx(
        lambda x, y: torch.bmm(torch.bmm(x, y), torch.bmm(y, y)), tracing_mode="fake"
    )(large, tiny)
    use_onednn(graph)
    targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert targets.count(torch.ops.regrasp.stacked_product.default) == (2 if wider else 0)
    assert targets.count(torch.ops.aten.bmm.default) == (1 if wider else 3)
    torch.testing.assert_close(graph(large, tiny), large @ tiny @ (tiny @ tiny), rtol=1e-4, atol=1e-4)


def test_the_choice_of_library_is_one_of_the_machine():
    assert onednn_is_wider() in (True, False)
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        assert not onednn_is_wider()
