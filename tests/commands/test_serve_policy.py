"""`regrasp serve-policy`: a trained policy behind an address acts as it does in the process."""

from pathlib import Path

import numpy as np
import pytest
from helpers.blob_world import SPEC, BlobWorld
from hydra import compose, initialize_config_module

from commands.serve_policy import open_server
from factory.evaluated_policy import policy_source
from policies.policy import load_policy
from robot.link.policy_client import RemotePolicy
from trajectories.errors import ConfigError, SpecMismatchError
from trajectories.types import RobotSpec

POLICY = Path(__file__).parents[1] / "fixtures" / "written_at_106ae2a" / "pretrained"


def settings(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=list(overrides))


def test_a_served_policy_acts_as_the_one_in_its_folder(tmp_path):
    local, config = load_policy(POLICY), settings("serve_policy", f"checkpoint={POLICY}", f"run_dir={tmp_path}")
    config.serve.address = "127.0.0.1:0"
    observation = BlobWorld(np.random.default_rng(0)).reset()
    with open_server(config) as server:
        remote = RemotePolicy(server.address, SPEC, 10.0)
        assert (remote.digest, remote.instructions) == (local.digest, local.instructions)
        assert remote.identity.name.startswith("other/pretrained_")
        for seed, deterministic in ((4, False), (5, False), (5, True)):
            remote.seed(seed)
            local.seed(seed)
            for _ in range(3):
                expected = local.act(observation, deterministic)
                np.testing.assert_array_equal(remote.act(observation, deterministic), expected, strict=True)
        with pytest.raises(SpecMismatchError):
            RemotePolicy(server.address, RobotSpec(cameras={"front": (200, 200)}), 10.0)


def test_a_real_robot_is_not_moved_by_what_is_told_in_clear():
    config = settings("evaluate", "robot=widowx")
    with pytest.raises(ConfigError, match=r"would move robot=widowx by what is told in clear.*link\.certificate"):
        policy_source(config, "grpc://127.0.0.1:50061")
