"""Checkpoints: one safetensors file with JSON in its header, written atomically, digests checked at load.

The file holds the whole training state of an `Agent` (networks, targets, anchor, optimiser moments,
temperature, random state, counters, instruction table), so that training goes on bit for bit, and whatever
plain JSON and tensors the caller adds. An existing file of the same name is replaced in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from policies.agent import Agent
from policies.config import AgentConfig
from trajectories.errors import CheckpointError
from trajectories.types import Spec

FORMAT = "regrasp-agent-1"
_KEY = "regrasp"
_EXTRA = "extra."


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        agent: Ready to go on.
        extra: The caller's JSON.
        tensors: The caller's tensors, on the CPU.
    """

    agent: Agent
    extra: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 over names, dtypes, shapes and bytes, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def save_agent(
    path: Path | str,
    agent: Agent,
    spec: Spec,
    extra: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the agent's whole training state; the file is there whole or not at all.

    Args:
        path: File to create or replace; folders are created.
        agent: What to save.
        spec: The robot that the policy belongs to.
        extra: JSON of the caller (counters, names of instructions).
        tensors: Tensors of the caller (e.g. `Replay.state_dict`).

    Raises:
        CheckpointError: When it can't be written (disk full, no permission).
    """
    state, counters = agent.state()
    payload = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    payload |= {_EXTRA + name: tensor.detach().cpu().contiguous() for name, tensor in (tensors or {}).items()}
    header = {
        "format": FORMAT,
        "config": agent.config.to_dict(),
        "sizes": list(agent.sizes),
        "counters": counters,
        "spec": spec.to_dict(),
        "policy_digest": digest(agent.actor_weights()),
        "digest": digest(payload),
        "extra": dict(extra or {}),
    }
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, payload, json.dumps(header, sort_keys=True))
    except (OSError, SafetensorError, TypeError) as error:
        raise CheckpointError(
            f"checkpoint {path} can't be written: {error}; the older one, if any, is as it was"
        ) from error


def load_agent(
    path: Path | str,
    spec: Spec,
    *,
    device: torch.device | str = "cpu",
    config: AgentConfig | None = None,
) -> Checkpoint:
    """Read a checkpoint back.

    Args:
        path: File of `save_agent`.
        spec: The robot at hand.
        device: Where the agent shall live.
        config: Settings to go on with in place of the saved ones (other losses online); the networks must
        agree.

    Raises:
        CheckpointError: Missing, damaged or incomplete file, other networks, or a policy that differs from
        the
            saved one.
        SpecMismatchError: Made for another robot.
    """
    path = Path(path)
    payload, header = _read(path)
    spec.require_same(Spec.from_dict(header["spec"]), f"checkpoint {path}")
    saved = AgentConfig.from_dict(header["config"])
    if config is not None and config.networks != saved.networks:
        raise CheckpointError(
            f"checkpoint {path} has networks {saved.networks}, the configuration asks for {config.networks}; "
            "use the configuration that it was trained with"
        )
    tensors = {name.removeprefix(_EXTRA): t for name, t in payload.items() if name.startswith(_EXTRA)}
    state = {name: tensor for name, tensor in payload.items() if not name.startswith(_EXTRA)}
    state_size, instruction_size, action_size = header["sizes"]
    agent = Agent(config or saved, state_size, instruction_size, action_size, device=device)
    agent.load_state(state, header["counters"])
    if digest(agent.actor_weights()) != header["policy_digest"]:
        raise CheckpointError(f"the policy loaded from {path} is not the one that was saved; don't run it")
    return Checkpoint(agent, header["extra"], tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; train first, or give the path of one")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            payload = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged or incomplete ({error}); use an older one") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {header.get('format')!r}; expected {FORMAT!r}")
    if digest(payload) != header["digest"]:
        raise CheckpointError(f"checkpoint {path} is damaged: its digest doesn't match; use an older one")
    return payload, header


def _write_whole(path: Path, payload: dict[str, Tensor], header: str) -> None:
    """Write beside `path`, flush to the disk, then rename over it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file(payload, name, metadata={_KEY: header})
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
