"""`regrasp serve-policy`: a trained policy behind an address, for `regrasp evaluate checkpoint=grpc://...`."""

from __future__ import annotations

import threading
from pathlib import Path

from omegaconf import DictConfig

from factory.link import certificates_of
from factory.run_folders import evaluation_place, find_policy
from robot.link.policy_server import PolicyServer
from robot.link.policy_wire import PolicyIdentity
from trajectories.types import RobotSpec


def open_server(config: DictConfig) -> PolicyServer:
    """The server of the policy that `config.checkpoint` names, not yet listening.

    It is read once: what is trained into its folder later is not served.

    Raises:
        CheckpointError: There is none.
        ConfigError: The address is not valid, or off loopback without certificates.
        LinkError: The port is taken.
    """
    import torch

    from policies.policy import load_policy

    torch.set_num_threads(1)  # each client has a thread of its own
    folder = find_policy(config, str(config.checkpoint))
    policy = load_policy(folder)
    name = evaluation_place(Path(config.run_dir), folder)
    identity = PolicyIdentity(name, policy.digest, policy.version, policy.instructions)

    def accept(spec: RobotSpec) -> None:
        spec.require_same(policy.perception.spec, f"The policy in {folder}")

    return PolicyServer(policy.another, identity, str(config.serve.address), certificates_of(config), accept)


def run(config: DictConfig) -> None:
    """Serve until Ctrl-C."""
    with open_server(config) as server:
        print(f"{config.checkpoint} listens: checkpoint=grpc://{server.address}; Ctrl-C ends it", flush=True)
        threading.Event().wait()
