"""Checkpoints: bit-exact resume, refusal of anything damaged or foreign, atomic replacement."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.tensor_file import digest
from policies.replay.replay import Replay
from trajectories.errors import CheckpointError, SpecMismatchError
from trajectories.types import RobotSpec

CONFIG = AgentConfig(networks=NetworkConfig(actor_hidden=(8,), critic_hidden=(8, 8), critics=3))
SPEC = RobotSpec()


def replay(seed=0):
    rng = np.random.default_rng(0)
    result = Replay(100, {"state": ((4,), torch.float32)}, gamma=0.95, seed=seed)
    for number in range(4):
        result.add_episode(
            observation={"state": rng.normal(size=(11, 4)).astype(np.float32)},
            executed=rng.uniform(-1, 1, (10, 7)).astype(np.float32),
            rewards=np.full(10, -1, np.float32),
            terminated=np.arange(10) == 9,
            truncated=np.zeros(10, bool),
            mc_returns=np.full(10, -5, np.float32),
            source=np.full(10, 2, np.uint8),
            instruction=number % 2,
        )
    return result


def make(config=CONFIG):
    agent = Agent(config, 4, 5)
    agent.set_instructions(torch.randn(2, 5, generator=torch.Generator().manual_seed(1)))
    return agent


def train(agent, data, phase="online"):
    agent.set_phase(phase)
    for _ in range(2):
        agent.update(data.sample(16), utd=2)


@pytest.mark.parametrize("learned", [False, True])
def test_an_untrained_agent_begins_with_the_temperature_of_the_settings(tmp_path, learned):
    """A learned temperature belongs to the policy that it was learned with."""
    agent = make(replace(CONFIG, initial_temperature=1.0))
    if learned:
        train(agent, replay())
    save_agent(tmp_path / "a.safetensors", agent, SPEC, {})
    loaded = load_agent(tmp_path / "a.safetensors", SPEC, config=replace(CONFIG, initial_temperature=0.05)).agent
    expected = agent.temperature if learned else torch.tensor(0.05)
    assert torch.allclose(loaded.temperature, expected, rtol=1e-6)
    assert learned == (abs(float(loaded.temperature) - 1) < 0.1)


@pytest.mark.parametrize("phase", ["offline", "warmup", "online"])
def test_training_goes_on_bit_for_bit(tmp_path, phase):
    agent, data = make(), replay()
    train(agent, data, "offline")
    train(agent, data, phase)
    save_agent(tmp_path / "a.safetensors", agent, SPEC, {"step": 3}, data.state_dict())
    train(agent, data, phase)
    train(agent, data, "online")

    loaded = load_agent(tmp_path / "a.safetensors", SPEC)
    again, fresh = loaded.agent, replay(seed=77)
    fresh.load_state_dict(loaded.tensors)
    train(again, fresh, phase)
    train(again, fresh, "online")

    (expected, counters), (got, other) = agent.state(), again.state()
    assert digest(expected) == digest(got)
    assert counters == other
    assert loaded.extra == {"step": 3}


def test_draws_of_another_kind_of_device_go_on_from_a_seed_of_their_own():
    """A CUDA generator's state has 16 bytes, a CPU's 5,056."""
    tensors, counters = make().state()
    draws = []
    for content in (1, 1, 2):
        agent = make()
        agent.load_state({**tensors, "generator": torch.full((16,), content, dtype=torch.uint8)}, counters)
        draws.append(torch.rand(3, generator=agent.generator))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_a_parameter_without_a_gradient_has_no_moments_and_needs_none(tmp_path):
    """The spread of a policy whose most likely action alone is improved."""
    ascent = PhaseConfig(extraction="ddpg")
    networks = NetworkConfig(actor_hidden=(8,), critic_hidden=(8, 8), critics=3, policy="gaussian", std="shared")
    config = AgentConfig(networks=networks, offline=ascent, online=ascent)
    agent, data = make(config), replay()
    train(agent, data)
    save_agent(tmp_path / "a", agent, SPEC)
    again, copy = load_agent(tmp_path / "a", SPEC).agent, replay()
    copy.load_state_dict(data.state_dict())
    train(agent, data)
    train(again, copy)
    assert digest(agent.state()[0]) == digest(again.state()[0])


def test_another_discount_is_refused(tmp_path):
    save_agent(tmp_path / "a", make(), SPEC)
    with pytest.raises(CheckpointError, match=r"has gamma 0\.95, the configuration asks for 0\.9"):
        load_agent(tmp_path / "a", SPEC, config=replace(CONFIG, gamma=0.9))


def test_an_anchor_that_was_never_kept_is_asked_for_in_vain(tmp_path):
    free = replace(CONFIG, online=PhaseConfig())
    agent = make(free)
    agent.set_phase("online")
    save_agent(tmp_path / "a", agent, SPEC)
    with pytest.raises(CheckpointError, match=r"without an anchor, and now online\.anchor_weight asks"):
        load_agent(tmp_path / "a", SPEC, config=CONFIG)
    assert load_agent(tmp_path / "a", SPEC, config=free).agent.anchor is None


def test_an_untrained_agent_can_be_saved(tmp_path):
    agent = make()
    save_agent(tmp_path / "a", agent, SPEC)
    assert digest(load_agent(tmp_path / "a", SPEC).agent.state()[0]) == digest(agent.state()[0])


def test_loaded_policy_acts_like_the_saved_one(tmp_path):
    agent = make()
    train(agent, replay())
    save_agent(tmp_path / "a", agent, SPEC)
    loaded = load_agent(tmp_path / "a", SPEC).agent
    state, embedding = torch.randn(3, 4), torch.randn(3, 5)
    assert torch.equal(agent.act(state, embedding, True), loaded.act(state, embedding, True))


def test_losses_may_change_at_load_and_networks_may_not(tmp_path):
    save_agent(tmp_path / "a", make(), SPEC)
    other = AgentConfig(networks=CONFIG.networks, online=PhaseConfig(cql_alpha=2.0))
    assert load_agent(tmp_path / "a", SPEC, config=other).agent.config == other
    with pytest.raises(CheckpointError, match="configuration that it was trained with"):
        load_agent(tmp_path / "a", SPEC, config=AgentConfig())


def test_an_existing_checkpoint_is_replaced_and_nothing_else_is_left(tmp_path):
    """A peer's learner crashes on an existing checkpoint folder."""
    path = tmp_path / "deep" / "a.safetensors"
    for step in range(2):
        save_agent(path, make(), SPEC, {"step": step})
    assert load_agent(path, SPEC).extra == {"step": 1}
    assert os.listdir(path.parent) == ["a.safetensors"]


def test_a_failed_write_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save_agent(path, make(), SPEC, {"step": 0})

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_agent(path, make(), SPEC, {"step": 1})
    assert load_agent(path, SPEC).extra == {"step": 0}
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_a_flipped_bit_is_found(tmp_path, where):
    path = tmp_path / "a"
    agent = make()
    train(agent, replay())
    save_agent(path, agent, SPEC)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_agent(path, SPEC)


@pytest.mark.parametrize("keep", [0, 7, 5000])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "a"
    save_agent(path, make(), SPEC)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError):
        load_agent(path, SPEC)


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="There is no"):
        load_agent(tmp_path / "nothing", SPEC)
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="holds None"):
        load_agent(tmp_path / "foreign", SPEC)


def test_another_robot_is_refused(tmp_path):
    save_agent(tmp_path / "a", make(), SPEC)
    with pytest.raises(SpecMismatchError, match="control_hz"):
        load_agent(tmp_path / "a", RobotSpec(control_hz=10.0))


def test_weights_that_are_not_loaded_are_noticed(tmp_path):
    """A peer skips weights silently: good in training, 0 % in evaluation."""
    agent = make()
    tensors, counters = agent.state()
    name = "actor.head.weight"
    missing = {key: value for key, value in tensors.items() if key != name}
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        make().load_state(missing, counters)
    with pytest.raises(CheckpointError, match="other networks"):
        make().load_state(tensors | {name: torch.zeros(3, 3)}, counters)
    with pytest.raises(CheckpointError, match="nothing here knows"):
        make().load_state(tensors | {"actor.extra": torch.zeros(1)}, counters)
    with pytest.raises(CheckpointError, match="counters"):
        make().load_state(tensors, {"phase": "online"})


def test_a_loader_that_skips_the_policy_is_caught_by_the_digest(tmp_path, monkeypatch):
    agent = make()
    train(agent, replay())
    save_agent(tmp_path / "a", agent, SPEC)
    monkeypatch.setattr(Agent, "load_state", lambda *_: None)
    with pytest.raises(CheckpointError, match="not the one that was saved"):
        load_agent(tmp_path / "a", SPEC)


def test_the_header_is_json_that_a_person_can_read(tmp_path):
    save_agent(tmp_path / "a", make(), SPEC, {"task": "pot"})
    with safe_open(str(tmp_path / "a"), framework="pt") as file:
        assert '"task": "pot"' in file.metadata()["regrasp"]


def test_digest_depends_on_names_shapes_and_values():
    base = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(1)},
        {"b": torch.zeros(2, 3), "a": torch.ones(1)},
        {"a": torch.zeros(2, 3), "b": torch.ones(1) * 2},
        {"a": torch.zeros(2, 3).double(), "b": torch.ones(1)},
    ]
    assert len({digest(x) for x in [base, *others]}) == 5
    assert digest(dict(reversed(base.items()))) == digest(base)
