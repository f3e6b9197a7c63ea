"""Which episodes are kept from training, and the figures on them, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos
from helpers.killable_pretraining import SETTINGS, train
from safetensors.torch import load_file

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.tensor_file import digest
from policies.learner.held_out import HeldOutEpisodes
from policies.learner.recorded_data import RecordedData, held_out_ids, place_of
from policies.replay.replay import Replay
from trajectories.manifest import EpisodeInfo
from trajectories.store import TrajectoryStore

GAMMA = 0.5


def info(name, outcome="success", direction="forward", task="red", kind="demo"):
    return EpisodeInfo(name, task, "put it there", direction, outcome, 5, {"kind": kind})


def test_the_place_of_an_id_never_changes():
    assert place_of("a") == pytest.approx(0xCA978112CA1BBDCA / 2**64, abs=1e-15)  # sha256("a") begins with these bytes


def test_episodes_are_held_out_by_their_ids_alone():
    names = [f"episode {i}" for i in range(200)]
    held = held_out_ids([info(name) for name in names], 0.1)
    assert held == {name for name in names if place_of(name) < 0.1}
    assert 10 <= len(held) <= 30
    later = held_out_ids([info(f"new {i}") for i in range(50)] + [info(name) for name in names], 0.1)
    assert later & set(names) == held
    assert held_out_ids([info(name) for name in names], 0.0) == frozenset()


def test_each_task_direction_and_outcome_has_one_where_there_are_enough():
    kinds = [("red", "forward", "success", 4), ("red", "backward", "failure", 9), ("blue", "forward", "success", 3)]
    infos = [
        info(f"{task} {direction} {i}", outcome, direction, task)
        for task, direction, outcome, count in kinds
        for i in range(count)
    ]
    held = held_out_ids(infos, 1e-9)
    for task, direction, _, count in kinds:
        names = [entry.id for entry in infos if (entry.task, entry.direction) == (task, direction)]
        assert held & set(names) == ({min(names, key=place_of)} if count >= 4 else set())
    nearly_all = held_out_ids(infos, 0.999999)
    assert len(nearly_all) == len(infos) - len(kinds)  # one of each is left to learn from


def test_what_teaches_perception_alone_is_never_held_out():
    assert held_out_ids([info(f"{kind} {i}", kind=kind) for kind in ("play", "aftermath") for i in range(9)], 0.9) == (
        frozenset()
    )


def test_held_out_episodes_are_not_learned_from(tmp_path):
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in demos(24, seed=1):
            store.commit(episode)
        data = RecordedData([store], "red_disc", {}, 0.3)
        kept, held = [e.id for e in data.training()], [e.id for e in data.measured()]
        assert len(held) > 2
        assert set(kept) & set(held) == set()
        assert set(kept) | set(held) == set(store.ids())


def test_measuring_changes_no_weight(tmp_path, demo_store):
    for name, every in (("often", 1), ("once", 1000)):
        about = train(demo_store, tmp_path / name, replace(SETTINGS, held_out_every=every))
        assert about["held_out"]["episodes"] > 0
    weights = [digest(load_file(tmp_path / name / "agent.safetensors")) for name in ("often", "once")]
    assert weights[0] == weights[1]


# Two transitions by hand: an actor and critics whose outputs are set.


def small_agent(policy="tanh_gaussian", extraction="soft"):
    networks = NetworkConfig(actor_hidden=(4,), critic_hidden=(4,), critics=2, policy=policy)
    phase = PhaseConfig(extraction=extraction)
    config = AgentConfig(
        networks=networks,
        gamma=GAMMA,
        target_critics=None,
        target_range=None,
        offline=phase,
        warmup=phase,
        online=phase,
    )
    agent = Agent(config, 1, 0, 1)
    with torch.no_grad():
        for parameter in agent.actor.parameters():
            parameter.zero_()
        for network in (agent.critics, agent.targets):
            for tensor in network.tensors():
                tensor.zero_()
        agent.critics.out_bias.copy_(torch.tensor([[-1.0], [-3.0]]))
        agent.targets.out_bias.copy_(torch.tensor([[-2.0], [-4.0]]))
    return agent


def two_steps():
    """Rewards -1 and 0, the second terminates; actions 0.5 (worth copying) and -0.9 (not)."""
    replay = Replay(3, {"state": ((1,), torch.float32)}, gamma=GAMMA, action_size=1)
    replay.add_episode(
        {"state": np.zeros((3, 1), np.float32)},
        np.array([[0.5], [-0.9]], np.float32),
        np.array([-1, 0], np.float32),
        np.array([False, True]),
        np.array([False, False]),
        np.array([-1, 0], np.float32),
        np.zeros(2, np.uint8),
        0,
        np.array([True, False]),
    )
    return HeldOutEpisodes(replay)


def test_figures_of_an_actor_by_hand():
    """The mode is tanh(0) = 0 in all states, and only the demonstrated 0.5 counts."""
    agent = small_agent()
    mean, log_std = (float(moment.detach()) for moment in agent.actor(torch.zeros(1, 1), None))
    assert mean == 0
    figures = two_steps().figures(agent, critics=False)
    before = math.atanh(0.5)
    noise = before * math.exp(-log_std)
    nll = 0.5 * noise**2 + log_std + 0.5 * math.log(2 * math.pi) + math.log(1 - 0.5**2)
    assert figures == {"clone_nll": pytest.approx(nll, abs=1e-5), "action_error": pytest.approx(0.5)}


def test_figures_of_critics_by_hand():
    """Targets -1 + 0.5 min(-2, -4) = -3 and 0; values -1 and -3 of every step; returns -1 and 0."""
    figures = two_steps().figures(small_agent(), critics=True)
    assert figures["td"] == pytest.approx((2**2 + 0**2 + 1**2 + 3**2) / 4)
    assert figures["q"] == pytest.approx(-2.0)
    assert figures["return"] == pytest.approx(-0.5)
    assert figures["q_error"] == pytest.approx(math.sqrt((1**2 + 2**2) / 2))
    assert "q_correlation" not in figures  # Q is the same for both steps


def test_a_deterministic_policy_has_no_likelihood():
    assert set(two_steps().figures(small_agent("deterministic", "ddpg"), critics=False)) == {"action_error"}
