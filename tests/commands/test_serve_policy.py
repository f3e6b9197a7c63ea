"""`regrasp serve-policy`: a trained policy behind an address acts as it does in the process."""

import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.blob_world import SPEC, BlobWorld
from hydra import compose, initialize_config_module

from commands.serve_policy import open_server
from factory.evaluated_policy import open_policy, policy_source
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


def test_what_is_trained_into_the_folder_later_is_not_served_and_nothing_is_read_again(tmp_path):
    folder = tmp_path / "policy"
    shutil.copytree(POLICY, folder)
    config = settings("serve_policy", f"checkpoint={folder}", f"run_dir={tmp_path}")
    config.serve.address = "127.0.0.1:0"
    local, observation = load_policy(POLICY), BlobWorld(np.random.default_rng(0)).reset()
    with open_server(config) as server:
        shutil.rmtree(folder)
        one, other = (RemotePolicy(server.address, SPEC, 10.0) for _ in range(2))
        one.seed(4)
        other.seed(5)
        mixed = [(one.act(observation), other.act(observation)) for _ in range(2)]
    for seed, acted in ((4, [pair[0] for pair in mixed]), (5, [pair[1] for pair in mixed])):
        local.seed(seed)
        np.testing.assert_array_equal(np.stack(acted), np.stack([local.act(observation) for _ in range(2)]))


def test_a_real_robot_waits_a_second_for_an_action_and_a_simulation_as_long_as_is_set(tmp_path):
    files = [f"link.{name}={tmp_path}/{name}.pem" for name in ("certificate", "key", "authority")]
    address = "grpc://127.0.0.1:50061"
    real, twin = policy_source(settings("evaluate", "robot=widowx", *files), address), settings("evaluate")
    assert (real.timeout_s, real.act_timeout_s) == (30.0, 1.0)
    assert policy_source(twin, address).act_timeout_s is None


@pytest.mark.parametrize("name", ["grpc://", "grpc://127.0.0.1", "grpc://127.0.0.1:port"])
def test_an_address_without_a_port_is_told_as_the_checkpoints(name):
    with pytest.raises(ConfigError, match=rf"checkpoint={name}: .*for example grpc://127\.0\.0\.1:50061") as error:
        policy_source(settings("evaluate"), name)
    assert "link" not in str(error.value)


def test_an_address_to_serve_at_that_is_none_is_told_as_such(tmp_path):
    config = settings("serve_policy", f"checkpoint={POLICY}", f"run_dir={tmp_path}", "serve.address=here")
    with pytest.raises(ConfigError, match=r"serve\.address 'here' is not valid.*127\.0\.0\.1:50061"):
        open_server(config)


def test_the_policy_before_is_disconnected_when_another_is_opened(tmp_path):
    config = settings("serve_policy", f"checkpoint={POLICY}", f"run_dir={tmp_path}")
    config.serve.address = "127.0.0.1:0"
    open_policy.cache_clear()
    with open_server(config) as server:
        source = policy_source(settings("evaluate"), f"grpc://{server.address}")
        source = replace(source, spec=json.dumps(SPEC.to_dict()))
        call = open_policy(source)._calls["Hello"]
        open_policy(replace(source, timeout_s=20.0))
        gc.collect()
        with pytest.raises(ValueError, match="closed channel"):
            call(b"{}", timeout=5.0)
    open_policy.cache_clear()
