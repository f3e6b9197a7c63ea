"""The policy that is measured: a policy folder, or one behind a server's address."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from factory.carried_folders import carried
from factory.link import certificates_of
from factory.run_folders import evaluation_place, find_policy
from factory.spec import spec_of
from factory.twin import in_simulated_time
from robot.link.tls import TlsFiles, split_address
from trajectories.conditions import short_digest
from trajectories.errors import ConfigError
from trajectories.types import RobotSpec

if TYPE_CHECKING:
    from robot.interfaces import EpisodePolicy

SERVED = "grpc://"
"""What the address of a policy server begins with."""
OLDEST_ACTION_S = 1.0
"""Longest that a policy server may think about an action of a robot that doesn't wait: without one in time it holds."""


@dataclass(frozen=True)
class PolicySource:
    """What a process needs to open the policy.

    Attributes:
        where: A policy folder, or "grpc://host:port".
        timeout_s: Longest that a server's answer may take.
        act_timeout_s: Longest that an action of a server may take; None for `timeout_s`.
        tls: For a server; None in clear.
        spec: The robot that acts, as JSON, for a server.
        wordings: Instructions that the policy in a folder reads through its text tower, besides those of its training.
        tower: That tower's settings, the group `reward` as JSON.
    """

    where: str
    timeout_s: float = 30.0
    act_timeout_s: float | None = None
    tls: TlsFiles | None = None
    spec: str = ""
    wordings: tuple[str, ...] = ()
    tower: str = ""

    @property
    def served(self) -> bool:
        """Whether it is behind an address."""
        return self.where.startswith(SERVED)

    @property
    def title(self) -> str:
        """For a progress bar."""
        return self.where if self.served else Path(self.where).name

    @property
    def folders(self) -> dict[Path, tuple[str, ...]]:
        """What a process reads that opens it: folder -> names of files."""
        from policies.policy import FILES

        return {} if self.served else {Path(self.where): FILES}

    def place(self, run_dir: Path) -> str:
        """Where its evaluations go, see `factory.run_folders.evaluation_place`; asks a server who it is."""
        if not self.served:
            return evaluation_place(run_dir, Path(self.where))
        from robot.link.policy_client import RemotePolicy

        policy = open_policy(self)
        name = policy.identity.name if isinstance(policy, RemotePolicy) else ""
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.") or "policy"
        return f"other/{name}_{short_digest({'digest': policy.digest})}"

    def label(self, run_dir: Path) -> str:
        """One name of the policy, which no policy that acts differently has."""
        name = self.place(run_dir).replace("/", "_")
        return name if self.served else f"{name}_{short_digest({'digest': open_policy(self).digest})}"

    def reading(self, wordings: Sequence[str], tower: Mapping[str, Any]) -> PolicySource:
        """The policy of a folder, reading more instructions through the text tower of a group `reward`."""
        return replace(self, wordings=tuple(sorted(set(wordings))), tower=json.dumps(dict(tower)))


def policy_source(config: DictConfig, name: str) -> PolicySource:
    """What `checkpoint` means: an address, or what `factory.run_folders.find_policy` finds.

    Raises:
        ConfigError: An address that is not valid, or in clear, where the robot is a real one.
        CheckpointError: There is no such policy.
    """
    if not name.startswith(SERVED):
        return PolicySource(str(find_policy(config, name)))
    split_address(
        name.removeprefix(SERVED), f"checkpoint={name}: the policy server's address", f"{SERVED}127.0.0.1:50061"
    )
    tls, waits = certificates_of(config), in_simulated_time(config)
    if tls is None and not waits:
        raise ConfigError(
            f"checkpoint={name} would move robot={config.robot.name} by what is told in clear, on loopback, too: name "
            "link.certificate, link.key and link.authority (docs/security.md), and start the server with certificates."
        )
    spec = json.dumps(spec_of(config).to_dict())
    act_timeout_s = None if waits else OLDEST_ACTION_S
    return PolicySource(name, float(config.evaluate.policy_timeout), act_timeout_s, tls, spec)


@lru_cache(maxsize=1)
def open_policy(source: PolicySource) -> EpisodePolicy:
    """This process' policy, loaded or connected once.

    Raises:
        RegraspError: It can't be opened.
    """
    if source.served:
        from robot.link.policy_client import RemotePolicy

        spec = RobotSpec.from_dict(json.loads(source.spec))
        address = source.where.removeprefix(SERVED)
        return RemotePolicy(address, spec, source.timeout_s, source.tls, source.act_timeout_s)
    import torch

    from policies.policy import load_policy

    torch.set_num_threads(1)
    policy = load_policy(carried(Path(source.where)))
    if source.wordings:
        backbone = _backbone(source.tower)
        policy.read_also(source.wordings, backbone.encode_text, backbone.digest)
    return policy


def _backbone(tower: str) -> Any:
    from rewards.vlm_kind import backbone_from

    return backbone_from(json.loads(tower), "cpu")
