"""Checkpoints and policy folders carry the calibration that they were trained with; a warning says when it changed."""

import logging

import pytest
import torch
from helpers.blob_world import SPEC

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig, NetworkConfig
from policies.policy import load_policy, save_policy
from robot.control.calibration import Calibration

OLD = Calibration("wx250s", "2026-11-21T10:00:00+00:00").mark
NEW = Calibration("wx250s", "2026-12-01T09:00:00+00:00").mark
SMALL = AgentConfig(networks=NetworkConfig(actor_hidden=(8,), critic_hidden=(8, 8), critics=2))


def saved(pretrained, folder, calibration):
    policy = load_policy(pretrained, SPEC)
    save_policy(folder, policy.perception, policy.networks, policy._actor.state_dict(), calibration)
    return policy


def test_a_policy_carries_its_calibration_from_folder_to_folder(pretrained, tmp_path):
    saved(pretrained, tmp_path / "a", OLD)
    policy = load_policy(tmp_path / "a")
    assert policy.calibration == OLD
    policy.save(tmp_path / "b")
    assert load_policy(tmp_path / "b").calibration == OLD


def test_a_policy_of_the_twin_carries_none(pretrained):
    assert load_policy(pretrained).calibration is None


def test_the_digest_is_that_of_the_policy_alone(pretrained, tmp_path):
    plain = saved(pretrained, tmp_path, OLD)
    assert load_policy(tmp_path).digest == plain.digest


@pytest.mark.parametrize(("present", "warned"), [(OLD, False), (NEW, True), (None, False)])
def test_another_calibration_is_said_with_both_dates(pretrained, tmp_path, caplog, present, warned):
    saved(pretrained, tmp_path, OLD)
    with caplog.at_level(logging.WARNING):
        load_policy(tmp_path, calibration=present)
    assert (OLD.date in caplog.text and NEW.date in caplog.text) == warned
    assert bool(caplog.records) == warned


def test_a_checkpoint_carries_it(tmp_path):
    agent = Agent(SMALL, 4, 5)
    agent.set_instructions(torch.zeros(2, 5))
    save_agent(tmp_path / "with", agent, SPEC, calibration=OLD)
    save_agent(tmp_path / "without", agent, SPEC)
    assert load_agent(tmp_path / "with", SPEC).calibration == OLD
    assert load_agent(tmp_path / "without", SPEC).calibration is None
